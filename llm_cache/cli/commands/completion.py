"""`llm-cache completion`: the script that has a shell complete what is typed."""

from __future__ import annotations

from typing import Final

import click

from llm_cache.cli.registry import Command
from llm_cache.cli.session import Session, pass_session

BASH: Final = r"""# llm-cache: completion for bash

_llm_cache_complete() {
    local line response program=${1/#\~\//$HOME/}
    COMPREPLY=()
    response=$(env COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" \
        _LLM_CACHE_COMPLETE=bash_complete "$program" 2>/dev/null </dev/null) || return 0
    while IFS= read -r line; do
        case $line in
            plain,*) COMPREPLY+=("${line#plain,}") ;;
            dir,*) compopt -o dirnames 2>/dev/null ;;
            file,*) compopt -o default 2>/dev/null ;;
        esac
    done <<<"$response"
    if [[ ${COMPREPLY[0]-} == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
    return 0
}

complete -o nosort -F _llm_cache_complete llm-cache 2>/dev/null ||
    complete -F _llm_cache_complete llm-cache
"""

ZSH: Final = r"""#compdef llm-cache
# llm-cache: completion for zsh

_llm_cache_complete() {
    local program=${(Q)words[1]} kind word listed
    local -a response whole whole_listed open open_listed as_lines
    program=${program/#\~\//$HOME/}
    response=("${(@f)$(env COMP_WORDS="${(j: :)words[1,CURRENT-1]} $QIPREFIX$PREFIX" \
        _LLM_CACHE_COMPLETE=zsh_complete "$program" 2>/dev/null </dev/null)}")
    for kind word listed in "${response[@]}"; do
        case $kind in
            plain)
                [[ $listed != "$word" ]] && as_lines=(-l)
                if [[ $word == *= ]]; then
                    open+=("$word") open_listed+=("$listed")
                else
                    whole+=("$word") whole_listed+=("$listed")
                fi
                ;;
            dir|file)
                [[ $PREFIX == --*=* ]] && compset -P 1 '*='
                if [[ $kind == dir ]]; then _files -/; else _files; fi
                ;;
        esac
    done
    (( $#whole )) && compadd -V llm-cache $as_lines -d whole_listed -a whole
    (( $#open )) && compadd -V llm-cache $as_lines -S '' -d open_listed -a open
    return 0
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _llm_cache_complete "$@"
else
    compdef _llm_cache_complete llm-cache
fi
"""

FISH: Final = r"""# llm-cache: completion for fish

function __llm_cache_complete
    set -l program (commandline -opc)[1]
    set -l line (commandline -cp | string collect)
    set -l token (commandline -ct)
    set -l flag (string match -r -- '^--[^=]*=' $token)
    set -l path (string replace -r -- '^--[^=]*=' '' $token)
    set program (string replace -r -- '^~/' "$HOME/" $program)
    for answer in (env COMP_WORDS="$line" _LLM_CACHE_COMPLETE=fish_complete $program \
            2>/dev/null </dev/null)
        set -l parts (string split -m 1 -- , $answer)
        switch $parts[1]
            case plain
                printf '%s\n' $parts[2]
            case dir
                printf '%s\n' "$flag"(__fish_complete_directories $path)
            case file
                printf '%s\n' "$flag"(__fish_complete_path $path)
        end
    end
end

complete --command llm-cache --no-files --keep-order --arguments '(__llm_cache_complete)'
"""

SCRIPTS: Final = {"bash": BASH, "zsh": ZSH, "fish": FISH}
_INSTALL: Final = {
    "bash": 'put this into ~/.bashrc: eval "$(llm-cache completion bash)"',
    "zsh": 'put this into ~/.zshrc, after compinit: eval "$(llm-cache completion zsh)"',
    "fish": "llm-cache completion fish > ~/.config/fish/completions/llm-cache.fish",
}


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(list(SCRIPTS)))
@pass_session
def command(session: Session, *, shell: str) -> None:
    """Print the script that completes llm-cache: commands, flags, prefixes, ids, params.

    What is in the cache is read as TAB is pressed, without leaving a trace. Where it cannot be
    read, nothing is completed, and nothing is said.

    \b
    Examples:
      eval "$(llm-cache completion bash)"     in ~/.bashrc
      eval "$(llm-cache completion zsh)"      in ~/.zshrc, after compinit
      llm-cache completion fish > ~/.config/fish/completions/llm-cache.fish
    """  # noqa: D301 - \b is a mark of Click's
    session.out.exact(SCRIPTS[shell])
    if session.out.is_terminal:
        session.out.flush()
        session.tell(f"hint: {_INSTALL[shell]}")
