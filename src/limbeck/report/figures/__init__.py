"""Altair charts, one function each; none of them reads a file."""
