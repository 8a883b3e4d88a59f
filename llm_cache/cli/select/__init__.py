"""Selects the entries of a command: parses flags, ids and params, and finds the entries."""
