"""Rate-distortion optimisation: choose symbols that minimise bits + lmbda x error."""
