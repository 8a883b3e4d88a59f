"""`llm-cache completion`: the script that has a shell complete what is typed."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from llm_cache.cli.app import COMPLETE_VARIABLE, PROGRAM, commands
from llm_cache.cli.registry import Command
from llm_cache.cli.session import Session, pass_session

_SHELLS: Final = {
    "bash": (BashComplete, 'put this into ~/.bashrc: eval "$(llm-cache completion bash)"'),
    "zsh": (
        ZshComplete,
        'put this into ~/.zshrc, after compinit: eval "$(llm-cache completion zsh)"',
    ),
    "fish": (
        FishComplete,
        "llm-cache completion fish > ~/.config/fish/completions/llm-cache.fish",
    ),
}
"""By name: what makes the script, and how to install it."""


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(list(_SHELLS)))
@pass_session
def command(session: Session, *, shell: str) -> None:
    """Print the script that completes llm-cache: commands, flags, prefixes, ids and more.

    The cache is read as TAB is pressed, without leaving a trace. Where it cannot be read, nothing
    is completed, and nothing is said.

    \b
    Examples:
      eval "$(llm-cache completion bash)"     in ~/.bashrc
      eval "$(llm-cache completion zsh)"      in ~/.zshrc, after compinit
      llm-cache completion fish > ~/.config/fish/completions/llm-cache.fish
    """
    script, install = _SHELLS[shell]
    session.out.exact(script(commands, {}, PROGRAM, COMPLETE_VARIABLE).source())
    if session.out.is_terminal:
        session.out.flush()
        session.tell(f"hint: {install}")
