"""vaezip: a learned image codec."""
