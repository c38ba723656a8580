"""Training on a GPU and measurements of training; README.md is the record of all runs."""
