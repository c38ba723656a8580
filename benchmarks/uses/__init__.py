"""Measurements of the VAE's other uses, and their example pictures."""
