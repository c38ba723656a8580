"""From pictures to `.vae` bytes."""
