"""Entropy coding in integer arithmetic: frozen probability tables and the range coder."""
