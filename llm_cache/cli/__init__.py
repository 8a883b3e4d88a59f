"""The command line, `llm-cache`: Click commands that print through `output.screen`.

`commands` has a module for each command, `select` parses what entries a command is about, `output`
draws, `warming` draws what `warm` does. It imports `api` and the rooms below it.
"""

from llm_cache.cli.app import main

__all__ = ["main"]
