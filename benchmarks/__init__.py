"""Measurements of the codec; README.md lists the scripts."""
