"""Many things, so many at a time."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")

AT_ONCE: Final = 500


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """All of them in lists of up to 500, taken as they are wanted."""
    coming = iter(items)
    while some := list(islice(coming, AT_ONCE)):
        yield some
