"""Measurements of the codec; README.md says what lies where."""
