"""Defers Ctrl-C (SIGINT) until a batch of work has completed."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

T = TypeVar("T")


AT_ONCE: Final = 500


@contextmanager
def defer_interrupts() -> Generator[None]:
    """Defers Ctrl-C: pressed within the block, it raises KeyboardInterrupt at its end.

    Python raises it between any two instructions, also in the middle of waiting for the store,
    and how much of the block was done would be a guess then. A second Ctrl-C is not deferred.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    was_pressed = False

    def note(*_: object) -> None:
        nonlocal was_pressed
        if was_pressed:
            raise KeyboardInterrupt
        was_pressed = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if was_pressed:
        raise KeyboardInterrupt


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Items in lists of up to 500, taken as they are wanted."""
    coming = iter(items)
    while some := list(islice(coming, AT_ONCE)):
        yield some
