"""Encode pictures to `.vae` bytes."""
