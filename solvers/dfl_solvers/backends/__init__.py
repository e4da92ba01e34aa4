"""General solvers behind the oracles, one file each; imported only by the oracles that use them."""
