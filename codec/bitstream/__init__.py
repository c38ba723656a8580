"""The .vae container in pure Python, without numpy, torch or the range coder (FORMAT.md)."""
