"""An attribute that is worked out when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


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
