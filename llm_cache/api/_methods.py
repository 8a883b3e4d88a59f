"""Cached methods: descriptors that pass for functions, and what they are bound to objects."""

from __future__ import annotations

import copy
import types
from functools import partial
from typing import Any, Final

OPERATIONS: Final = ("key", "peek", "why", "invalidate", "refresh")
"""What a cached function has, and a cached method bound to its object."""


class CachedMethod:
    """A cached function in a class body; it gives each object a method, operations and all.

    It passes for a function (`__class__`): frameworks leave functions alone in a class body, and
    look at their signature and at whether they are async.
    """

    def __init__(self, function: Any) -> None:
        self.function: Final = function

    @property  # type: ignore[misc]  # it can be set, says typeshed
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        return types.FunctionType

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else CachedBoundMethod(self.function, instance)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """The value for these arguments, the object among them."""
        return self.function(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """What else a function has, like `__code__`."""
        return getattr(vars(self)["function"], name)

    def __repr__(self) -> str:
        """As of a function."""
        return f"<cached function {self.__qualname__} at {id(self):#x}>"

    def __reduce__(self) -> str:
        """Functions are pickled by their names."""
        return str(self.__qualname__)

    def __copy__(self) -> CachedMethod:
        """Functions are not copied."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> CachedMethod:
        """Functions are not copied."""
        return self


class CachedClassMethod(CachedMethod):
    """A cached class method, bound to the class it is asked of."""

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return CachedBoundMethod(self.function, type(instance) if owner is None else owner)


class CachedBoundMethod(partial[Any]):
    # A cached method of one object, which passes for a bound method. It is a partial, since
    # nothing else that can have attributes is made and called as quickly.

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of the function."""
        doc: str | None = self.func.__doc__
        return doc

    @property  # type: ignore[misc]  # it can be set, says typeshed
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        return types.MethodType

    @property
    def __self__(self) -> Any:
        """The object."""
        return self.args[0]

    @property
    def __func__(self) -> Any:
        """The function, which takes the object first."""
        return self.func

    def __getattr__(self, name: str) -> Any:
        """What the function has, the operations bound to the object."""
        found = getattr(self.func, name)
        return partial(found, self.args[0]) if name in OPERATIONS else found

    def __eq__(self, other: object) -> bool:
        """The same method of the same object is equal."""
        if type(other) is not CachedBoundMethod:
            return NotImplemented
        return self.func is other.func and self.__self__ is other.__self__

    def __hash__(self) -> int:
        """Equal for equal methods."""
        return hash((self.func, id(self.__self__)))

    def __repr__(self) -> str:
        """As of a bound method."""
        return f"<bound cached method {self.func.__qualname__} of {self.__self__!r}>"

    def __reduce__(self) -> Any:
        """Methods are pickled as the object and the method's name."""
        return getattr, (self.__self__, self.func.__name__)

    def __copy__(self) -> CachedBoundMethod:
        """Methods are not copied."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> CachedBoundMethod:
        """The method of a copy of the object."""
        return CachedBoundMethod(self.func, copy.deepcopy(self.__self__, memo))
