"""One-off measurements, each for one question; README.md lists questions and answers."""
