"""Sizes of the networks, the index of shipped models, and the lapped filter."""
