"""What the VAE's other uses are worth, measured, and the example pictures of README."""
