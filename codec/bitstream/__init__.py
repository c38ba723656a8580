"""The .vae container in pure Python: nothing here imports numpy, torch or the range coder."""
