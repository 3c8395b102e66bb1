"""The command line: verbs, no logic."""

from limbeck.cli.main import main

__all__ = ["main"]
