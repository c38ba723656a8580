"""How good or how small a file is to be: targets, and who of a picture's tiles gets how much."""
