"""The networks as torch modules, for training and for the other uses of the model."""
