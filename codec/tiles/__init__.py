"""Tiles of a picture between samples and symbols: what encoding and decoding share."""
