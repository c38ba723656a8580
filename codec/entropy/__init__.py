"""Integers only: frozen probability tables and the range coder that turns symbols into words and back."""
