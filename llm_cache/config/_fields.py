"""The frame of settings: named values, each checked once, that never change.

All checks are our own functions, so that messages say what to write instead; pydantic around them
would add 45 ms to the start of every command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeAlias, TypeVar, cast

from llm_cache.config.problems import Problem, WrongSettingsError, shown_value, unknown
from llm_cache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")
Check: TypeAlias = Callable[[object], Any]
"""Returns a value understood, or raises ValueError with what is wrong and what to write."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How one setting is checked, and what it is where nobody gives it."""

    check: Check
    default: Callable[[], Any] | None


def setting(check: Check, *, default: object) -> Any:  # noqa: ANN401 - stands where a value will be
    """A setting with a default that cannot be changed."""
    return Setting(check, lambda: default)


def made_anew(check: Check, default: Callable[[], object]) -> Any:  # noqa: ANN401 - as above
    """A setting whose default is made for each."""
    return Setting(check, default)


def required(check: Check) -> Any:  # noqa: ANN401 - as above
    """A setting that has to be given."""
    return Setting(check, None)


class Settings:
    """Some settings; a subclass declares each as `name: type = setting(check, default=...)`.

    Raises:
        ConfigError: a setting is unknown, missing or wrong; the message names it.
    """

    fields: ClassVar[Mapping[str, Setting]] = {}
    said: frozenset[str]
    """The names of those that were given."""
    _also_known: ClassVar[tuple[str, ...]] = ()
    _needed_by: ClassVar[str] = "the settings"

    def __init_subclass__(cls) -> None:
        found = {name: s for name, s in vars(cls).items() if isinstance(s, Setting)}
        for name in found:
            delattr(cls, name)
        cls.fields = {**cls.fields, **found}

    def __init__(self, /, **given: Any) -> None:  # noqa: ANN401 - anything may come in
        problems: list[Problem] = []
        understood = self._understand(given, problems)
        values: dict[str, Any] = {}
        for name, field in self.fields.items():
            if name in understood:
                with _under(problems, name):
                    values[name] = field.check(understood[name])
            elif field.default is not None:
                values[name] = field.default()
            else:
                problems.append(Problem((name,), f"is missing: {self._needed_by} needs it"))
        known = (*self.fields, *self._also_known)
        problems += (
            Problem((name,), unknown(name, known)) for name in understood if name not in self.fields
        )
        if problems:
            raise WrongSettingsError(problems) from None
        vars(self).update(values, said=frozenset(understood))

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

    __hash__ = None  # type: ignore[assignment]  # some values are lists

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.fields)
        return f"{type(self).__name__}({shown})"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> Any:  # noqa: ANN401
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


def table_of(check_name: Check, check: Callable[[object], T]) -> Callable[[object], dict[str, T]]:
    """A check for a table whose names and values each pass one."""

    def check_table(value: object) -> dict[str, T]:
        if not isinstance(value, Mapping):
            return cast("dict[str, T]", table(value))
        problems: list[Problem] = []
        found: dict[str, T] = {}
        for name, item in cast("Mapping[Any, object]", value).items():
            with _under(problems, name):
                found[check_name(name)] = check(item)
        return _sound(found, problems)

    return check_table


def list_of(check: Callable[[object], T]) -> Callable[[object], list[T]]:
    """A check for an array whose items each pass one."""

    def check_list(value: object) -> list[T]:
        if not isinstance(value, list | tuple):
            msg = f"is not an array: {shown_value(value)}"
            raise ValueError(msg)  # noqa: TRY004 - as above
        problems: list[Problem] = []
        found: list[T] = []
        for index, item in enumerate(cast("Iterable[object]", value)):
            with _under(problems, index):
                found.append(check(item))
        return _sound(found, problems)

    return check_list


def _sound(found: T, problems: list[Problem]) -> T:
    if problems:
        raise WrongSettingsError(problems)
    return found


class _under:  # noqa: N801 - used like the context managers of contextlib
    """Notes what a check finds wrong as a problem of the setting `name`."""

    def __init__(self, problems: list[Problem], name: str | int) -> None:
        self._problems: Final = problems
        self._name: Final = name

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        """Takes ValueErrors."""
        if isinstance(error, WrongSettingsError):
            self._problems.extend(problem.under(self._name) for problem in error.problems)
        elif isinstance(error, ValueError):
            self._problems.append(Problem((self._name,), str(error)))
        return isinstance(error, ValueError)
