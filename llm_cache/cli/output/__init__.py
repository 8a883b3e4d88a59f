"""Draws results for a terminal, a pipe or a program; only `screen` knows what a terminal can do."""
