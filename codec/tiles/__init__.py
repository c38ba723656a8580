"""The transforms and the quantiser of tiles, shared by encoding and decoding."""
