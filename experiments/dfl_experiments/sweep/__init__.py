"""Sweeps: many problems and methods, tuned alike, on all cores or a cluster."""
