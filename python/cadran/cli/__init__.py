"""The command line: `cadran COMMAND ...`."""

from cadran.cli.app import main

__all__ = ["main"]
