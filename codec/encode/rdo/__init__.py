"""Rate-distortion optimisation: better symbols for the same decoder."""
