"""The networks of the codec, their sizes, and the weights that ship."""
