"""Completes words that stand for something in the cache: prefixes, ids, tenants, versions, models.

Click asks these callbacks, and its scripts split what they return by newlines and commas and expand
it as the shell does. So only plain words are returned, whatever models and users wrote.

Commands import this for their flags, so what reads the cache is imported when it is read.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from click.shell_completion import CompletionItem, ZshComplete, add_completion_class

from llm_cache.cli.output.escape import is_harmless, printable
from llm_cache.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    import click

    from llm_cache.core.entry import EntryInfo
    from llm_cache.store.sqlite.snapshot import Snapshot

Items = list[CompletionItem[str]]

IDS_AT_MOST: Final = 100
LOOKED_AT: Final = 500
"""So many entries are looked at for their versions."""
HELP_CHARS: Final = 60
_PLAIN: Final = re.compile(r"[\w@%+:./][\w@%+:./=-]*")
_HEX: Final = frozenset("0123456789abcdef")
_MOST_DIGITS: Final = 64


@add_completion_class
class KeepFlagInZsh(ZshComplete):
    """Completes `--flag=value` whole: zsh replaces all of it, and Click gives the value alone."""

    def get_completions(self, args: list[str], incomplete: str) -> Items:
        """What Click completes, behind the flag that was typed."""
        items = super().get_completions(args, incomplete)
        flag, mark, _ = incomplete.partition("=")
        if mark and flag.startswith("--"):
            for item in items:
                item.value = f"{flag}={item.value}"
        return items


def directories(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """Has the shell complete directories."""
    return [CompletionItem(incomplete, type="dir")]


def tenants(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """The tenants that have entries."""
    with _snapshot(ctx, all_tenants=True) as seen:
        return _items(seen.tenants() if seen else (), incomplete)


def prefixes(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """The prefixes that have entries."""
    with _snapshot(ctx) as seen:
        return _items(seen.prefixes() if seen else (), incomplete)


def prefixes_to_warm(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """The prefixes of the settings' sets."""
    sets = ctx.ensure_object(Session).config.warm
    return _items(dict.fromkeys(each.prefix for each in sets), incomplete)


def models(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """The models that have answered."""
    with _snapshot(ctx) as seen:
        return _items(seen.models() if seen else (), incomplete)


def versions(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """The versions of what was made or used last."""
    found = (info.version for info in _last_used(ctx))
    return _items(dict.fromkeys(filter(None, found)), incomplete)


def ids(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """The ids of entries; those that were used last where no digit was typed."""
    if not _may_be_id(incomplete):
        return []
    with _snapshot(ctx) as seen:
        found = seen.by_id(incomplete.lower(), IDS_AT_MOST) if seen else []
    return _ids(ctx, found, incomplete)


def trashed_ids(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """The ids of what is in the trash, the last removed first."""
    if not _may_be_id(incomplete):
        return []
    with _snapshot(ctx) as seen:
        found = seen.in_trash(incomplete.lower(), IDS_AT_MOST) if seen else []
    return _ids(ctx, found, incomplete)


def _items(words: Iterable[str], incomplete: str) -> Items:
    return [
        CompletionItem(word) for word in words if word.startswith(incomplete) and _is_plain(word)
    ]


def _is_plain(word: str) -> bool:
    """Whether every shell takes `word` as it is, and a terminal shows it as it is."""
    return _PLAIN.fullmatch(word) is not None and is_harmless(word)


def _ids(ctx: click.Context, infos: Iterable[EntryInfo], incomplete: str) -> Items:
    named = {word.lower() for word in ctx.params.get("ids") or ()}
    return [
        CompletionItem(_at_least(info, incomplete), help=_about(info))
        for info in infos
        if info.id not in named
    ]


def _about(info: EntryInfo) -> str:
    from llm_cache.cli.output.entries import params_text

    return printable(f"{info.prefix} {params_text(info, named=False)}")[:HELP_CHARS].rstrip()


def _at_least(info: EntryInfo, typed: str) -> str:
    """The id of an entry, with as many digits as were typed, and as they were typed."""
    return typed + info.key.hex()[len(typed) : max(len(info.id), len(typed))]


def _may_be_id(typed: str) -> bool:
    return len(typed) <= _MOST_DIGITS and _HEX.issuperset(typed.lower())


def _last_used(ctx: click.Context) -> list[EntryInfo]:
    """What was used last; of the prefix that was named, what was made last."""
    # Where the last flag still lacks its value, Click leaves what else there is unsorted.
    named = ctx.params.get("prefix") or ctx.params.get("of_prefix") or next(iter(ctx.args), None)
    with _snapshot(ctx) as seen:
        return seen.last_used(named, LOOKED_AT) if seen else []


@contextmanager
def _snapshot(ctx: click.Context, *, all_tenants: bool = False) -> Generator[Snapshot | None]:
    """The cache that the line so far leads to."""
    from llm_cache.store.sqlite.snapshot import snapshot

    session = ctx.ensure_object(Session)
    config = session.config
    tenant = None if all_tenants else session.tenant or config.tenant or None
    with snapshot(
        config.cache_dir / "cache.db",
        tenant=tenant,
        allow_shared=config.allow_shared_dir,
        allow_network=config.allow_network_fs,
    ) as seen:
        yield seen
