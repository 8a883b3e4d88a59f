"""A function's arguments as params: every way to write one call gives one key."""

from __future__ import annotations

import hashlib
import inspect
import re
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

from llm_cache.errors import ConfigError, KeyParamError
from llm_cache.keys import Identity, canonical_params, check_prefix
from llm_cache.lazy import lazy
from llm_cache.policy import AUTO_VERSION
from llm_cache.returns import codec_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType

    from llm_cache.codec import Codec
    from llm_cache.policy import CachePolicy
    from llm_cache.policy_table import Policy


def binding_of(function: Callable[..., Any]) -> Binding | None:
    """How a decorated function's calls are keyed; None if it is not decorated."""
    return getattr(function, "llm_cache_binding", None)


class Binding:
    """How the calls of one function become params of its prefix.

    Positional, keyword and defaulted arguments come out alike; `**kwargs` are params of their own
    and `*args` a list under their name.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        prefix: str,
        *,
        policy: CachePolicy | None = None,
        exclude: tuple[str, ...] = (),
    ) -> None:
        self.function: Final = function
        self.prefix: Final = check_prefix(prefix)
        self.policy: Final = policy
        self.exclude: Final = frozenset(exclude)
        self.signature: Final = inspect.signature(function)
        self.is_async: Final = inspect.iscoroutinefunction(function)
        self.is_method: Final = self._is_method()
        self.leading: Final = self._leading()
        unknown = self.exclude - self.signature.parameters.keys()
        if unknown and not self._takes_any_keyword():
            msg = (
                f"exclude names {min(unknown)!r}, which is no parameter of "
                f"{function.__qualname__}{self.signature}"
            )
            raise ConfigError(msg)

    @lazy
    def codec(self) -> Codec:
        """The codec of the function's return type, looked at when it is first needed."""
        return codec_of(self.function)

    def params_json(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The canonical params of a call with these arguments.

        Raises TypeError if the function does not take them, KeyParamError if one cannot be keyed.
        """
        return canonical_params(self.params(args, kwargs))

    def params(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The params of a call with these arguments, defaults included, `exclude` left out."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        params: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            kind = self.signature.parameters[name].kind
            named = value if kind is inspect.Parameter.VAR_KEYWORD else {name: value}
            clash = params.keys() & named.keys()
            if clash:
                msg = (
                    f"param {min(clash)!r} of {self.function.__qualname__} is given twice, as a "
                    "parameter and in its **kwargs: rename one"
                )
                raise KeyParamError(msg)
            params.update(named)
        return {name: value for name, value in params.items() if name not in self.exclude}

    def identity(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], policy: Policy, tenant: str
    ) -> Identity:
        """What identifies a call with these arguments. Raises as `params_json` does."""
        return Identity(self.prefix, self.params_json(args, kwargs), self.version(policy), tenant)

    def version(self, policy: Policy) -> str:
        """The version under a policy, with `auto` worked out."""
        if policy.version != AUTO_VERSION:
            return policy.version
        return version_of_source(self.function)

    def _is_method(self) -> bool:
        """Whether this is a function in a class body whose first parameter is its object."""
        outer = self.function.__qualname__.rpartition(".")[0]
        in_class = bool(outer) and not outer.endswith("<locals>")
        return in_class and next(iter(self.signature.parameters), None) in ("self", "cls")

    def _leading(self) -> int:
        """How many of the first arguments given do not count, and need not be looked at: 0 or 1."""
        first = next(iter(self.signature.parameters.values()), None)
        if first is None or first.name not in self.exclude:
            return 0
        is_positional = first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD)
        # What a decorator passes on may begin with another argument.
        return int(is_positional and (self.is_method or not hasattr(self.function, "__wrapped__")))

    def _takes_any_keyword(self) -> bool:
        return any(
            p.kind is inspect.Parameter.VAR_KEYWORD for p in self.signature.parameters.values()
        )


def version_of_source(function: Callable[..., Any]) -> str:
    """A version that changes with the text of a function: `auto-` and 12 hex digits.

    The text begins with its `def`, so that what its decorators say does not count. ConfigError if
    it cannot be read.
    """
    bare: Any = function
    while isinstance(bare, partial):
        bare = bare.func
    bare = inspect.unwrap(bare)
    code = getattr(bare, "__code__", None)
    if code is None:
        msg = f"version='auto' needs a function with a source, and {bare!r} has none: {_WAY_OUT}"
        raise ConfigError(msg)
    return _version_of_code(_Code(code))


class _Code:
    """A code object as itself: Python takes two for equal that differ in defaults or comments."""

    __slots__ = ("code",)

    def __init__(self, code: CodeType) -> None:
        self.code: Final = code

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Code) and other.code is self.code

    def __hash__(self) -> int:
        return id(self.code)


_WAY_OUT: Final = "write a version of your own"


@lru_cache(maxsize=1024)
def _version_of_code(of: _Code) -> str:
    import textwrap

    try:
        lines, _ = inspect.getsourcelines(of.code)
    except (OSError, TypeError):
        msg = f"version='auto': the source of {of.code.co_qualname} cannot be read: {_WAY_OUT}"
        raise ConfigError(msg) from None
    first = next((n for n, line in enumerate(lines) if _DEF.match(line)), 0)
    text = textwrap.dedent("".join(lines[first:])).strip()
    return f"auto-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


_DEF: Final = re.compile(r"\s*(async\s+)?def\s")
