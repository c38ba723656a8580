"""Train a model on a folder of pictures and export its weights."""
