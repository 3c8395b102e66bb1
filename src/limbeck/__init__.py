"""limbeck teaches a small image classifier from a big one with as little data as you have."""

__version__ = "0.1.0"
