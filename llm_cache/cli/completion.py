"""What to complete a word with that stands for something in the cache: prefixes, ids, params.

Commands import this for their flags, so what reads the cache is imported when it is read.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from click.shell_completion import CompletionItem

from llm_cache.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    import click

    from llm_cache.core.entry import EntryInfo
    from llm_cache.store.sqlite.snapshot import Glimpse

Items = list[CompletionItem[str]]

IDS_AT_MOST: Final = 100
LOOKED_AT: Final = 500
"""So many entries are looked at for the names and values of params."""
_HEX: Final = frozenset("0123456789abcdef")
_MOST_DIGITS: Final = 64


def directories(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """Has the shell complete directories."""
    return [CompletionItem(incomplete, type="dir")]


def tenants(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """The tenants that have entries."""
    with _glimpse(ctx, all_tenants=True) as seen:
        return _items(seen.tenants() if seen else (), incomplete)


def prefixes(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """The prefixes that have entries."""
    with _glimpse(ctx) as seen:
        return _items(seen.prefixes() if seen else (), incomplete)


def prefixes_to_warm(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """The prefixes of the settings' sets."""
    sets = ctx.ensure_object(Session).config.warm
    return _items(dict.fromkeys(each.prefix for each in sets), incomplete)


def models(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """The models that have answered."""
    with _glimpse(ctx) as seen:
        return _items(seen.models() if seen else (), incomplete)


def versions(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """The versions of what was made or used last."""
    found = (info.version for info in _last_used(ctx))
    return _items(dict.fromkeys(filter(None, found)), incomplete)


def ids(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """The ids of entries; those that were used last where no digit was typed."""
    if not _may_be_id(incomplete):
        return []
    with _glimpse(ctx) as seen:
        found = seen.by_id(incomplete.lower(), IDS_AT_MOST) if seen else []
    return _ids(ctx, found, incomplete)


def trashed_ids(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """The ids of what is in the trash, the last removed first."""
    if not _may_be_id(incomplete):
        return []
    with _glimpse(ctx) as seen:
        found = seen.in_trash(incomplete.lower(), IDS_AT_MOST) if seen else []
    return _ids(ctx, found, incomplete)


def params(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """`NAME=` of the params of what was made or used last; after the mark, `NAME=VALUE`."""
    from llm_cache.cli.output.entries import params_of

    name, mark, _ = incomplete.partition("=")
    there = [params_of(info) for info in _last_used(ctx)]
    if mark:
        values = [_typed(each[name]) for each in there if name in each]
        return _items(dict.fromkeys(f"{name}={v}" for v in values if v is not None), incomplete)
    said = {typed.partition("=")[0] for typed in _words(ctx)}
    names = dict.fromkeys(name for each in there for name in each)
    return _items((f"{n}=" for n in names if n not in said and "=" not in n), incomplete)


def _items(words: Iterable[str], incomplete: str) -> Items:
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def _ids(ctx: click.Context, infos: Iterable[EntryInfo], incomplete: str) -> Items:
    from llm_cache.cli.output.entries import params_text

    said = {word.lower() for word in _words(ctx)}
    return [
        CompletionItem(_at_least(info, incomplete), help=f"{info.prefix} {about}".rstrip())
        for info in infos
        if info.id not in said
        for about in [params_text(info, named=False)]
    ]


def _at_least(info: EntryInfo, typed: str) -> str:
    """The id of an entry, with as many digits as were typed, and as they were typed."""
    return typed + info.key.hex()[len(typed) : max(len(info.id), len(typed))]


def _may_be_id(typed: str) -> bool:
    return len(typed) <= _MOST_DIGITS and _HEX.issuperset(typed.lower())


def _words(ctx: click.Context) -> Iterator[str]:
    """What was given as arguments, as far as that is known."""
    for name in ("params", "ids"):
        given = ctx.params.get(name)
        yield from given or ()
    yield from ctx.args


def _typed(value: object) -> str | None:
    """A value as a user would type it; None for one that cannot be asked for."""
    from llm_cache.core.redaction import REDACTED

    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if value == REDACTED:
        return None
    try:
        is_text = not isinstance(json.loads(value), str)
    except (ValueError, RecursionError):
        is_text = True
    return value if is_text else json.dumps(value, ensure_ascii=False)


def _last_used(ctx: click.Context) -> list[EntryInfo]:
    """What was used last; of the prefix that was named, what was made last."""
    # Where the last flag still lacks its value, Click leaves what else there is unsorted.
    named = ctx.params.get("prefix") or ctx.params.get("of_prefix") or next(iter(ctx.args), None)
    with _glimpse(ctx) as seen:
        return seen.last_used(named, LOOKED_AT) if seen else []


@contextmanager
def _glimpse(ctx: click.Context, *, all_tenants: bool = False) -> Generator[Glimpse | None]:
    """The cache that the line so far leads to."""
    from llm_cache.store.sqlite.snapshot import glimpse

    session = ctx.ensure_object(Session)
    config = session.config
    tenant = None if all_tenants else session.tenant or config.tenant or None
    with glimpse(
        config.cache_dir / "cache.db",
        tenant=tenant,
        allow_shared=config.allow_shared_dir,
        allow_network=config.allow_network_fs,
    ) as seen:
        yield seen
