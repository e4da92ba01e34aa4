"""From CSV files to models, decisions and a verdict, without Python: fit, predict, evaluate."""
