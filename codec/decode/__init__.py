"""From `.vae` bytes to pictures."""
