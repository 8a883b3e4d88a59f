"""A function's arguments as params: every way to write one call gives one key."""

from __future__ import annotations

import inspect
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from llm_cache.errors import ConfigError, KeyParamError
from llm_cache.keys import canonical_params, check_prefix
from llm_cache.returns import codec_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llm_cache.codec import Codec
    from llm_cache.policy import CachePolicy


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
        unknown = self.exclude - self.signature.parameters.keys()
        if unknown and not self._takes_any_keyword():
            msg = (
                f"exclude names {min(unknown)!r}, which is no parameter of "
                f"{function.__qualname__}{self.signature}"
            )
            raise ConfigError(msg)

    @cached_property
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

    def _takes_any_keyword(self) -> bool:
        return any(
            p.kind is inspect.Parameter.VAR_KEYWORD for p in self.signature.parameters.values()
        )
