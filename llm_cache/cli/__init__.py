"""The command line, `llm-cache`: one short module a command, `render` alone knows the terminal."""

from llm_cache.cli.app import main

__all__ = ["main"]
