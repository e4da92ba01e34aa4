"""Studies of sequential design: which criterion needs the fewest labels, and `dfl design`."""
