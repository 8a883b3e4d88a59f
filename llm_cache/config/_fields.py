"""Base of the settings classes: frozen objects whose values are checked once.

The checks are our own, so that messages say what to write instead; pydantic around them would add
45 ms to the start of every command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar, cast

from llm_cache.config.problems import Problem, WrongSettingsError, unknown
from llm_cache.core.setting_types import Kind, shown_value, with_args
from llm_cache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")
_REQUIRED: Final = object()


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: what it means, what it may be, and what it is where it is not given."""

    words: str
    kind: Kind[Any]
    default: Any = _REQUIRED

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the setting in a file."""
        schema = {"description": self.words, **self.kind.schema}
        if self.default is _REQUIRED or self.default is None or callable(self.default):
            return schema
        return {**schema, "default": self.kind.plain(self.default)}


def setting(words: str, kind: Kind[Any], *, default: object = _REQUIRED) -> Any:
    """A setting; a `default` that can be called is called for each object."""
    return Setting(words, kind, default)


class Settings:
    """Some settings; a subclass declares each as `name: type = setting(words, kind, default)`.

    Raises:
        ConfigError: a setting is unknown, missing or wrong; the message names it.
    """

    fields: ClassVar[Mapping[str, Setting]] = {}
    given: frozenset[str]
    """The names of those that were given."""
    _needed_by: ClassVar[str] = "the settings"

    def __init_subclass__(cls) -> None:
        found = {name: s for name, s in vars(cls).items() if isinstance(s, Setting)}
        for name in found:
            delattr(cls, name)
        cls.fields = {**cls.fields, **found}
        cls.__doc__ = with_args(cls.__doc__, {name: each.words for name, each in found.items()})

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """The JSON Schema of a table of these settings."""
        return {
            "type": "object",
            "additionalProperties": False,
            "required": [name for name, each in cls.fields.items() if each.default is _REQUIRED],
            "properties": {name: each.schema for name, each in cls.fields.items()},
        }

    def __init__(self, /, **given: Any) -> None:
        problems: list[Problem] = []
        understood = self._understand(given, problems)
        values: dict[str, Any] = {}
        for name, field in self.fields.items():
            if name in understood:
                with under(problems, name):
                    values[name] = field.kind.check(understood[name])
            elif field.default is _REQUIRED:
                problems.append(Problem((name,), f"is missing: {self._needed_by} needs it"))
            else:
                values[name] = field.default() if callable(field.default) else field.default
        problems += (
            Problem((name,), unknown(name, self.fields))
            for name in understood
            if name not in self.fields
        )
        if problems:
            raise WrongSettingsError(problems) from None
        vars(self).update(values, given=frozenset(understood))

    @classmethod
    def _understand(cls, given: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
        """`given` in terms of the fields; what is wrong with it goes into `problems`."""
        del problems
        return given

    @classmethod
    def of(cls, value: object) -> Self:
        """What a table says, or the settings themselves; ValueError if it is neither."""
        if isinstance(value, cls):
            return value
        return cls(**table(value))

    def with_values(self, **values: object) -> Self:
        """The same but for some values, which are not checked."""
        copy = object.__new__(type(self))
        vars(copy).update({**vars(self), **values})
        return copy

    def __setattr__(self, name: str, value: object) -> None:
        msg = f"{type(self).__name__} is frozen: give {name} when it is made"
        raise ConfigError(msg)

    def __delattr__(self, name: str) -> None:
        self.__setattr__(name, None)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.fields)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # some values are lists

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.fields)
        return f"{type(self).__name__}({shown})"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> Any:
        """Lets settings stand as a field of somebody's pydantic model."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(cls.of)


def table(value: object) -> dict[str, Any]:
    """A mapping by names; ValueError for anything else."""
    if not isinstance(value, Mapping):
        msg = f"is not a table: {shown_value(value)}"
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for every wrong setting
    named = dict(cast("Mapping[object, Any]", value))
    odd = next((name for name in named if not isinstance(name, str)), "")
    if not isinstance(odd, str):
        msg = f"is not a table by names: {shown_value(odd)} is none"
        raise ValueError(msg)  # noqa: TRY004 - as above
    return cast("dict[str, Any]", named)


TABLE: Final = Kind(table, {"type": "object"})


def table_of(name_kind: Kind[str], kind: Kind[T]) -> Kind[dict[str, T]]:
    """A table whose names and values each are of one kind."""

    def check_table(value: object) -> dict[str, T]:
        if not isinstance(value, Mapping):
            return cast("dict[str, T]", table(value))
        problems: list[Problem] = []
        found: dict[str, T] = {}
        for name, item in cast("Mapping[Any, object]", value).items():
            with under(problems, name):
                found[name_kind.check(name)] = kind.check(item)
        return sound(found, problems)

    names = name_kind.schema.get("pattern")
    of_values = {"patternProperties": {names: kind.schema}, "additionalProperties": False}
    schema = of_values if names else {"additionalProperties": kind.schema}
    return Kind(check_table, {"type": "object", **schema})


def list_of(kind: Kind[T]) -> Kind[list[T]]:
    """An array whose items each are of one kind."""

    def check_list(value: object) -> list[T]:
        if not isinstance(value, list | tuple):
            msg = f"is not an array: {shown_value(value)}"
            raise ValueError(msg)  # noqa: TRY004 - as above
        problems: list[Problem] = []
        found: list[T] = []
        for index, item in enumerate(cast("Iterable[object]", value)):
            with under(problems, index):
                found.append(kind.check(item))
        return sound(found, problems)

    return Kind(check_list, {"type": "array", "items": kind.schema})


def sound(found: T, problems: list[Problem]) -> T:
    """`found`; WrongSettingsError where there are problems."""
    if problems:
        raise WrongSettingsError(problems)
    return found


class under:  # noqa: N801 - used like the context managers of contextlib
    """Notes what a check finds wrong as a problem of the setting `name`."""

    def __init__(self, problems: list[Problem], name: str | int) -> None:
        self._problems: Final = problems
        self._name: Final = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if isinstance(error, WrongSettingsError):
            self._problems.extend(problem.under(self._name) for problem in error.problems)
        elif isinstance(error, ValueError):
            self._problems.append(Problem((self._name,), str(error)))
        return isinstance(error, ValueError)
