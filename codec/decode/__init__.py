"""Decoding: decode, preview, salvage and verify `.vae` files."""
