"""Locks that no fork leaves held: a child makes its own.

A thread that holds a lock while another one forks is not there in the child, and never lets go of
it. What these locks guard is right at every moment all the same: it is replaced as a whole.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_makers: Final[set[weakref.WeakMethod[Callable[[], None]]]] = set()


def made_again_in_child(make_locks: Callable[[], None]) -> None:
    """Calls `make_locks`, a method that makes an object's locks: now, and in every forked child.

    The object is not kept alive for that.
    """
    make_locks()
    _makers.add(weakref.WeakMethod(make_locks, _makers.discard))


def _make_again() -> None:
    for maker in list(_makers):
        make_locks = maker()
        if make_locks is not None:
            make_locks()


os.register_at_fork(after_in_child=_make_again)
