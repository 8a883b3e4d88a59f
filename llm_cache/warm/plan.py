"""What there is to warm: the sets of `[[warm]]`, item by item, with what is there already."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
import traceback
import typing
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from llm_cache.core.arguments import refuse_argument
from llm_cache.core.freshness import Freshness, judge
from llm_cache.core.keys import check_prefix
from llm_cache.core.policy import StoreParams
from llm_cache.core.redaction import show_params, stored_params, typed_params
from llm_cache.core.values.refusals import said_by_pydantic
from llm_cache.engine.call import Call
from llm_cache.errors import CacheError, ConfigError
from llm_cache.functions.binding import Binding, binding_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from llm_cache.config import CacheConfig, WarmSet
    from llm_cache.core.entry import Entry
    from llm_cache.core.policy_resolution import Policy
    from llm_cache.engine.engine import Engine

_NOT_THEIRS: Final = frozenset({__file__, importlib.__file__})
"""Files of every import: nothing of the user's is in them."""


@dataclass(frozen=True, slots=True)
class WarmItem:
    """One entry to be warm."""

    params: Mapping[str, Any] = field(repr=False)  # secrets and all
    call: Call
    state: Freshness
    is_there: bool
    """Whether there is an entry at all; one that is there and missing is expired."""

    @property
    def prefix(self) -> str:
        """The prefix it is of."""
        return self.call.identity.prefix

    @property
    def shown_params(self) -> dict[str, object]:
        """Its params for a reader: readable, and without secrets."""
        policy = self.call.policy
        stored, _ = stored_params(
            self.call.identity.params_json,
            StoreParams.FULL,
            secret=policy.secret_params,
            public=policy.public_params,
        )
        shown = show_params(stored)
        return {name: shown[name] for name in self.params if name in shown}


@dataclass(frozen=True, slots=True)
class PlannedSet:
    """Items that one function makes, and how eagerly."""

    prefix: str
    items: tuple[WarmItem, ...]
    is_async: bool
    concurrency: int = 4
    retries: int = 3
    calls_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class WarmPlan:
    """All there is to warm; making it reads the store and calls nothing."""

    sets: tuple[PlannedSet, ...]

    @property
    def items(self) -> tuple[WarmItem, ...]:
        """The items of all sets."""
        return tuple(item for planned in self.sets for item in planned.items)

    def at_a_time(self, concurrency: int) -> WarmPlan:
        """The same, with so many calls at a time in each set."""
        return WarmPlan(tuple(replace(each, concurrency=concurrency) for each in self.sets))


def plan_of_config(engine: Engine, prefix: str | None = None) -> WarmPlan:
    """The plan of the `[[warm]]` tables in force, or of those of one prefix.

    Raises ConfigError, naming file and line, if a function cannot be imported or does not take
    what is listed for it.
    """
    config = engine.config
    prefix = None if prefix is None else check_prefix(prefix)
    base = config.source.parent if config.source else None
    planned: list[PlannedSet] = []
    for index, warm_set in enumerate(config.warm):
        if prefix in (None, warm_set.prefix):
            planned.append(_planned(engine, warm_set, _where(config, index), base))
    if prefix is not None and not planned:
        raise ConfigError(_no_such_set(prefix, [s.prefix for s in config.warm]))
    return WarmPlan(tuple(planned))


def plan_of_calls(
    engine: Engine, calls: Mapping[Callable[..., Any], Iterable[Mapping[str, Any]]]
) -> WarmPlan:
    """The plan of decorated functions, each with the arguments of its calls."""
    if not isinstance(calls, Mapping):
        refuse_argument("calls", calls, "a dict, {function: [{'subject': 'math'}]}")
    planned: list[PlannedSet] = []
    for function, arguments in calls.items():
        binding = binding_of(function)
        if binding is None:
            msg = f"{function!r} is not decorated: put @cached_llm_call on what is to be warmed"
            raise ConfigError(msg)
        items = tuple(_listed(engine, binding, arguments))
        planned.append(PlannedSet(binding.prefix, items, binding.is_async))
    return WarmPlan(tuple(planned))


def _listed(
    engine: Engine, binding: Binding, arguments: Iterable[Mapping[str, Any]]
) -> Generator[WarmItem]:
    """The items of one function's calls; ConfigError if it does not take what is listed."""
    name = binding.function.__qualname__
    if isinstance(arguments, str | bytes | Mapping) or not isinstance(arguments, Iterable):
        refuse_argument(f"what is listed for {name}", cast("object", arguments), "a list of dicts")
    for number, each in enumerate(arguments, 1):
        if not isinstance(each, Mapping):
            refuse_argument(f"call {number} of {name}", each, "a dict, {'subject': 'math'}")
        try:
            yield _item(engine, binding, each)
        except TypeError as error:
            if isinstance(error, CacheError):
                raise
            msg = f"call {number} of {name}: {_first_line(error)}"
            raise ConfigError(msg) from None


def import_functions(config: CacheConfig) -> None:
    """Imports what the `[[warm]]` tables name, so that it is known what is decorated for what.

    Raises ConfigError, naming file and line, if that cannot be done.
    """
    base = config.source.parent if config.source else None
    for index, warm_set in enumerate(config.warm):
        _imported(warm_set.generate, _where(config, index), base)


def _where(config: CacheConfig, index: int) -> str:
    return f"{config.origin(f'warm[{index}].generate')}: [[warm]] {config.warm[index].prefix}"


def _planned(engine: Engine, warm_set: WarmSet, where: str, base: Path | None) -> PlannedSet:
    function = _imported(warm_set.generate, where, base)
    binding = binding_of(function) or Binding(function, warm_set.prefix, only_arguments=True)
    if binding.prefix != warm_set.prefix:
        msg = (
            f"{where}: {warm_set.generate} is decorated for the prefix {binding.prefix!r}: "
            "write that prefix"
        )
        raise ConfigError(msg)
    policy = engine.policies.resolve(binding.prefix, decorator=binding.policy)
    coerce = _coercion(binding.function, policy)
    items: list[WarmItem] = []
    for number, params in enumerate(warm_set.items(), 1):
        try:
            arguments = {name: coerce(name, value) for name, value in params.items()}
            items.append(_item(engine, binding, arguments))
        except (TypeError, ValueError) as error:
            if isinstance(error, CacheError) and not isinstance(error, TypeError):
                raise
            msg = f"{where}, item {number} {_shown(params, policy)}: {_first_line(error)}"
            raise ConfigError(msg) from None
    return PlannedSet(
        warm_set.prefix,
        tuple(items),
        binding.is_async,
        warm_set.concurrency,
        warm_set.retries,
        warm_set.calls_per_second(),
    )


def _item(engine: Engine, binding: Binding, arguments: Mapping[str, Any]) -> WarmItem:
    scope = engine.scopes.identified()
    policy = engine.policies.resolve(
        binding.prefix, decorator=binding.policy, mode_in_block=scope.mode
    )
    identity = binding.identity((), arguments, policy, scope.tenant)
    generator = partial(binding.function, **arguments)
    call = Call.of(identity, generator, policy, binding.codec_of_call((), arguments))
    entry: Entry | None = engine.components.store.get(identity.key)
    now = engine.components.clock()
    state = Freshness.MISSING if entry is None else judge(entry, policy, now)
    return WarmItem(dict(arguments), call, state, is_there=entry is not None)


def _imported(name: str, where: str, base: Path | None) -> Callable[..., Any]:
    module_name, _, function_name = name.partition(":")
    try:
        with _first_on_path(base):
            found: Any = importlib.import_module(module_name)
        for part in function_name.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        msg = f"{where}: cannot import {name}: {_why_not_imported(error, base)}"
        raise ConfigError(msg) from error
    if not callable(found):
        msg = f"{where}: {name} is a {type(found).__name__}, not a function"
        raise ConfigError(msg)
    function: Callable[..., Any] = found
    return function


def _why_not_imported(error: BaseException, base: Path | None) -> str:
    """What a module raised, and where: it is the user's own, and shown to who runs it."""
    places = _places(error, base)
    if isinstance(error, ImportError | AttributeError) and not places:  # it is not there at all
        return f"{error}; the path starts at {base or 'its own'}"
    said = error.msg if isinstance(error, SyntaxError) else _first_line(error)
    kind = type(error).__name__
    told = kind if said in ("", kind) else f"{kind}: {said}"
    return f"{told} ({', raised at '.join(places)})" if places else told


def _places(error: BaseException, base: Path | None) -> list[str]:
    """`gen.py:3`: where the user's module was when it happened, and where that is raised."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return [_place(error.filename, error.lineno or 0, base)]
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen ") and frame.filename not in _NOT_THEIRS
    ]
    own = [f for f in frames if base is not None and Path(f.filename).is_relative_to(base)]
    told = [*own[-1:], *frames[-1:]]
    return list(dict.fromkeys(_place(each.filename, each.lineno or 0, base) for each in told))


def _place(filename: str, line: int, base: Path | None) -> str:
    path = Path(filename)
    is_own = base is not None and path.is_relative_to(base)
    return f"{path.relative_to(base) if base is not None and is_own else path}:{line}"


@contextmanager
def _first_on_path(base: Path | None) -> Generator[None]:
    """Has modules beside the configuration found first; they may import each other later, too."""
    if base is not None and str(base) not in sys.path:
        sys.path.insert(0, str(base))
    yield


def _coercion(function: Callable[..., Any], policy: Policy) -> Callable[[str, Any], Any]:
    """TOML's values as what the function's annotations say: enums, dates, models."""
    from pydantic import PydanticUserError, TypeAdapter, ValidationError

    try:
        hints = typing.get_type_hints(inspect.unwrap(function))
    except Exception:  # noqa: BLE001 - an annotation may be any expression at all
        hints = {}

    def coerce(name: str, value: Any) -> Any:
        if name not in hints:
            return value
        try:
            return TypeAdapter(hints[name]).validate_python(value)
        except PydanticUserError:
            return value  # a class that is nothing to pydantic: the function will say what it takes
        except ValidationError as error:
            problem = said_by_pydantic(error)
            shown = _shown({name: value}, policy)[name]
            msg = f"{name} = {shown!r} does not fit its annotation: {problem}"
            raise ValueError(msg) from None

    return coerce


def _shown(params: Mapping[str, object], policy: Policy) -> dict[str, object]:
    return typed_params(params, secret=policy.secret_params, public=policy.public_params)


def _no_such_set(prefix: str, there: list[str]) -> str:
    close = difflib.get_close_matches(prefix, there, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(set(there)))}"
    return f"no [[warm]] table has the prefix {prefix!r}: {hint}"


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
