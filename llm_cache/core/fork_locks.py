"""Locks that no fork leaves held, since a child makes its own; and lazy attributes without a lock.

A thread that holds a lock while another one forks is not there in the child, and never lets go of
it. What these locks guard is right at every moment all the same: it is replaced as a whole.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_makers: Final[set[weakref.WeakMethod[Callable[[], None]]]] = set()


def reset_after_fork(make_locks: Callable[[], None]) -> None:
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


class lazy(Generic[T]):  # noqa: N801 - used like functools.cached_property
    """As `functools.cached_property`, without the lock that it takes before Python 3.12.

    A child that is forked while another thread holds that lock would wait for it for ever. Two
    threads may work the value out at once here; either will do.
    """

    def __init__(self, work_out: Callable[[Any], T]) -> None:
        self._work_out: Final = work_out
        self.__doc__ = work_out.__doc__

    def __get__(self, instance: object, owner: type | None = None) -> T:
        value = self._work_out(instance)
        vars(instance)[self._work_out.__name__] = value  # which is found before this from now on
        return value
