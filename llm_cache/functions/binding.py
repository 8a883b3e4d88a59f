"""A function's arguments as params: every way to write one call gives one key."""

from __future__ import annotations

import hashlib
import inspect
import re
from contextlib import suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

from llm_cache.core.fork_locks import lazy
from llm_cache.core.keys import Identity, canonical_params, check_prefix
from llm_cache.core.policy import AUTO_VERSION
from llm_cache.errors import ConfigError, KeyParamError, PrefixConflictError
from llm_cache.functions.callables import Callee, code_of, gives_awaitables, is_stateless, unpack
from llm_cache.functions.closures import Closure
from llm_cache.functions.returns import codec_of_call, lasting_codec_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType

    from llm_cache.core.policy import CachePolicy
    from llm_cache.core.policy_resolution import Policy
    from llm_cache.core.values.codec import Codec


def binding_of(function: Callable[..., Any]) -> Binding | None:
    """How a decorated function's calls are keyed; None if it is not decorated."""
    return getattr(function, "llm_cache_binding", None)


class Binding:
    """How the calls of one function become params of its prefix.

    Positional, keyword and defaulted arguments come out alike; `**kwargs` are params of their own
    and `*args` a list under their name. What a partial or a method is bound to counts like given
    arguments, and so do the plain values that the function closes over, by their names.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        prefix: str,
        *,
        policy: CachePolicy | None = None,
        exclude: tuple[str, ...] = (),
        only_arguments: bool = False,
    ) -> None:
        """`only_arguments` is for what generates for calls that name their params themselves."""
        self.function: Final = function
        self.prefix: Final = check_prefix(prefix)
        self.policy: Final = policy
        callee = unpack(function)
        self.name: Final = callee.name
        self._callee: Final = Callee(function, callee.name) if only_arguments else callee
        signature, self._own_signature = _signatures(self._callee.function)
        self.signature: Final[inspect.Signature] = signature
        self.is_async: Final = gives_awaitables(function)
        first = next(iter(self.signature.parameters), "self")
        self.closure: Final = Closure(
            None if only_arguments else self._callee.function,
            exclude=exclude,
            taken=self.signature.parameters,
            bound=self._object_bound_to(first),
        )
        self.exclude: Final = frozenset(exclude)
        self._check_exclude()
        left_out = self.exclude | {first} if is_stateless(self._callee) else self.exclude
        self._left_out: Final = left_out
        self.is_method: Final = self._is_method(first)
        self.fixed: Final = self._fixed()
        """What it is bound to that counts and may change, by name."""
        self.leading: Final = self._leading(first)
        self.superseded_by: str | None = None
        """Why its calls are answered no more; for `PrefixConflictError`."""

    @lazy
    def codec(self) -> Codec:
        """The codec of the function's return type, looked at when it is first needed."""
        return lasting_codec_of(self.function)

    def codec_of_call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Codec:
        """The codec of a call with these arguments, one of which may say what it returns."""
        return codec_of_call(self.codec, self.function, args, kwargs)

    def params_json(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The canonical params of a call with these arguments.

        Raises TypeError if the function does not take them, KeyParamError if one cannot be keyed.
        """
        return canonical_params(self.params(args, kwargs, self.closure.values()))

    def params(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], closed: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The params of a call: defaults and what is `closed` over included, `exclude` left out."""
        bound = self._bind(args, kwargs)
        bound.apply_defaults()
        params = dict(closed)
        for name, value in bound.arguments.items():
            kind = bound.signature.parameters[name].kind
            named = value if kind is inspect.Parameter.VAR_KEYWORD else {name: value}
            clash = params.keys() & named.keys()
            if clash:
                msg = (
                    f"param {min(clash)!r} of {self.name} is given twice, as a parameter or a "
                    "variable it closes over and in its **kwargs: rename one"
                )
                raise KeyParamError(msg)
            params.update(named)
        return {name: value for name, value in params.items() if name not in self._left_out}

    def identity(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        policy: Policy,
        tenant: str,
        closed: Mapping[str, Any] | None = None,
    ) -> Identity:
        """What identifies a call with these arguments. Raises as `params_json` does.

        `closed` are the values it closes over, where they have been read. PrefixConflictError if
        another function has the prefix by now.
        """
        if self.superseded_by is not None:
            raise PrefixConflictError(self.superseded_by)
        params = self.params(args, kwargs, self.closure.values() if closed is None else closed)
        return Identity(self.prefix, canonical_params(params), self.version(policy), tenant)

    def version(self, policy: Policy) -> str:
        """The version under a policy, with `auto` worked out."""
        if policy.version != AUTO_VERSION:
            return policy.version
        return version_of_source(self.function)

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        args, kwargs = self._callee.before + args, {**self._callee.keywords, **kwargs}
        with suppress(TypeError):
            return self.signature.bind(*args, **kwargs)
        if self._own_signature is not None:
            # What is decorated supplies arguments to what it wraps, or takes more.
            own = (None,) * min(self.leading, len(args)) + args[self.leading :]
            with suppress(TypeError):
                return self._own_signature.bind(*own, **kwargs)
        return self.signature.bind(*args, **kwargs)

    def _fixed(self) -> dict[str, Any]:
        bound = self._bind_partly()
        counts = {name: value for name, value in bound.items() if name not in self._left_out}
        return {} if all(type(value) in _SCALARS for value in counts.values()) else counts

    def _bind_partly(self) -> dict[str, Any]:
        before, keywords = self._callee.before, self._callee.keywords
        with suppress(TypeError):
            return dict(self.signature.bind_partial(*before, **keywords).arguments)
        return {"*": before, **keywords}

    def _check_exclude(self) -> None:
        known = self.signature.parameters.keys() | self.closure.names
        if self._own_signature is not None:
            known |= self._own_signature.parameters.keys()
        unknown = self.exclude - known
        if unknown and not self._takes_any_keyword():
            msg = (
                f"exclude names {min(unknown)!r}, which is no parameter of "
                f"{self.name}{self.signature}, nor closed over by it"
            )
            raise ConfigError(msg)

    def _object_bound_to(self, first: str) -> dict[str, object]:
        if not self._callee.is_bound or is_stateless(self._callee):
            return {}
        return {first: self._callee.before[0]}

    def _is_method(self, first: str) -> bool:
        """Whether this is a function in a class body whose first parameter is its object."""
        outer = self.name.rpartition(".")[0]
        in_class = bool(outer) and not outer.endswith("<locals>")
        return in_class and self._callee.function is self.function and first in ("self", "cls")

    def _leading(self, first: str) -> int:
        """How many of the first arguments given do not count, and need not be looked at: 0 or 1."""
        if self._callee.before or first not in self._left_out:
            return 0
        kind = self.signature.parameters[first].kind
        is_positional = kind not in (inspect.Parameter.KEYWORD_ONLY, *_VARIABLE)
        return int(is_positional and (self.is_method or self._own_signature is None))

    def _takes_any_keyword(self) -> bool:
        return any(
            p.kind is inspect.Parameter.VAR_KEYWORD for p in self.signature.parameters.values()
        )


_SCALARS: Final = frozenset({str, int, float, bool, bytes, type(None)})
_VARIABLE: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_ANYTHING: Final = inspect.Signature(
    [inspect.Parameter("args", _VARIABLE[0]), inspect.Parameter("kwargs", _VARIABLE[1])]
)


def _signatures(function: Callable[..., Any]) -> tuple[inspect.Signature, inspect.Signature | None]:
    """How calls of a function are bound: as what it wraps says, and, failing that, as itself does.

    One that says all by itself, without `*args` and `**kwargs`, is taken at its word.
    """
    followed = _signature(function, follow_wrapped=True) or _ANYTHING
    if not hasattr(function, "__wrapped__"):
        return followed, None
    own = _signature(function, follow_wrapped=False)
    if own is not None and not any(p.kind in _VARIABLE for p in own.parameters.values()):
        return own, None
    return followed, own


def _signature(function: Callable[..., Any], *, follow_wrapped: bool) -> inspect.Signature | None:
    try:
        return inspect.signature(function, follow_wrapped=follow_wrapped)
    except ValueError:
        return None  # of some that are written in C nobody knows


def version_of_source(function: Callable[..., Any]) -> str:
    """A version that changes with the text of a function: `auto-` and 12 hex digits.

    The text begins with its `def`, so that what its decorators say does not count. ConfigError if
    it cannot be read.
    """
    bare: Any = function
    while isinstance(bare, partial):
        bare = bare.func
    bare = inspect.unwrap(bare)
    code = code_of(bare)
    if code is None:
        name = unpack(bare).name
        msg = f"version='auto' needs a function with a source, and {name} has none: {_WAY_OUT}"
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
