"""Plays attacks and look-alikes against Weir, and holds what came out against what is true. See ../README.md."""
