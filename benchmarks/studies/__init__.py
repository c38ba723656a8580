"""Measurements that answered one question once; README.md lists questions and answers."""
