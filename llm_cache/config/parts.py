"""The parts of a configuration as pydantic models, and what pydantic finds wrong in our words."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from llm_cache.config import values as check
from llm_cache.config.problems import Problem, WrongSettingsError, shown_value, unknown
from llm_cache.policy import DURATIONS, POLICY_FIELDS, CachePolicy, Mode, StoreParams

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic_core import ErrorDetails

    from llm_cache.units import Duration

MOST_WARM_ITEMS: Final = 100_000
POLICY_FIELDS_OF_FILES: Final = tuple(name for name in POLICY_FIELDS if name != "cache_if")
_Names: TypeAlias = tuple[str, ...] | None


class Settings(BaseModel):
    """What the parts of the configuration share: they never change, and their errors are ours."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="forbid",
        defer_build=True,  # whoever only imports this should not pay for it
    )

    _also_known: ClassVar[tuple[str, ...]] = ()

    def __init__(self, /, **given: Any) -> None:  # noqa: ANN401 - anything may come in
        problems: list[Problem] = []
        settings = self._understand(given, problems)
        try:
            super().__init__(**settings)
        except ValidationError as error:
            problems += _problems(error, (*type(self).model_fields, *self._also_known))
        if problems:
            raise WrongSettingsError(problems) from None

    @classmethod
    def _understand(cls, given: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
        """`given` in terms of the fields; what is wrong with it goes into `problems`."""
        del problems
        return given


class PrefixConfig(Settings):
    """What a file says about a prefix, or about all of them; durations in seconds.

    Takes `ttl_hours`, a number, in place of `ttl`.
    """

    _also_known: ClassVar[tuple[str, ...]] = ("ttl_hours",)

    ttl: Annotated[float | None, PlainValidator(check.seconds)] = None
    ttl_jitter: Annotated[float | None, PlainValidator(check.policy_field("ttl_jitter"))] = None
    grace: Annotated[float | None, PlainValidator(check.seconds)] = None
    stale_if_error: Annotated[float | None, PlainValidator(check.seconds)] = None
    version: Annotated[str | None, PlainValidator(check.text)] = None
    timeout: Annotated[float | None, PlainValidator(check.seconds)] = None
    lock_timeout: Annotated[float | None, PlainValidator(check.seconds)] = None
    mode: Annotated[Mode | None, PlainValidator(check.policy_field("mode"))] = None
    store_if: Annotated[_Names, PlainValidator(check.policy_field("store_if"))] = None
    store_params: Annotated[
        StoreParams | None, PlainValidator(check.policy_field("store_params"))
    ] = None
    secret_params: Annotated[_Names, PlainValidator(check.policy_field("secret_params"))] = None
    public_params: Annotated[_Names, PlainValidator(check.policy_field("public_params"))] = None

    if TYPE_CHECKING:

        def __init__(  # noqa: PLR0913 - as many as there are fields
            self,
            *,
            ttl: Duration | None = None,
            ttl_hours: float | None = None,
            ttl_jitter: float | None = None,
            grace: Duration | None = None,
            stale_if_error: Duration | None = None,
            version: str | None = None,
            timeout: Duration | None = None,
            lock_timeout: Duration | None = None,
            mode: str | None = None,
            store_if: Iterable[str] | None = None,
            store_params: str | None = None,
            secret_params: Iterable[str] | None = None,
            public_params: Iterable[str] | None = None,
        ) -> None: ...

    @classmethod
    def _understand(cls, given: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
        """Turn `ttl_hours` into `ttl`."""
        if "ttl_hours" not in given:
            return given
        settings = {name: value for name, value in given.items() if name != "ttl_hours"}
        if "ttl" in given:
            problems.append(Problem(("ttl_hours",), "is given beside ttl: keep one of them"))
            return settings
        try:
            settings["ttl"] = check.duration_text(check.hours(given["ttl_hours"]))
        except ValueError as error:
            problems.append(Problem(("ttl_hours",), str(error)))
        return settings

    def policy(self) -> CachePolicy:
        """The same as a policy."""
        return CachePolicy(**_exact({name: getattr(self, name) for name in POLICY_FIELDS_OF_FILES}))


class Price(Settings):
    """What a model costs, in dollars for a million tokens.

    `cached_input` is for those that the provider had in its own cache; as `input` if left out.
    """

    input: Annotated[float, PlainValidator(check.price)]
    output: Annotated[float, PlainValidator(check.price)]
    cached_input: Annotated[float | None, PlainValidator(check.price)] = None


class WarmSet(Settings):
    """One `[[warm]]` table: which entries `warm` makes, with which function, and how eagerly.

    The entries are those of `params`, and every combination of the values of `matrix`.
    """

    prefix: Annotated[str, PlainValidator(check.prefix_name)]
    generate: Annotated[str, PlainValidator(check.generator_name)]
    params: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    matrix: dict[str, list[Any]] = Field(default_factory=dict[str, list[Any]])
    concurrency: Annotated[int, PlainValidator(check.count(1, 1000))] = 4
    retries: Annotated[int, PlainValidator(check.count(0, 100))] = 3
    rate: Annotated[str | None, PlainValidator(check.rate_text)] = None

    @classmethod
    def _understand(cls, given: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
        """Find sets that would make nothing, or far too much."""
        params, matrix = given.get("params"), given.get("matrix")
        if not params and not matrix:
            message = "lists nothing: write params = [{ … }], or matrix = { name = [ … ] }"
            problems.append(Problem((), message))
        if not check.is_table(matrix):
            return given
        axes = {name: len(axis) for name, axis in matrix.items() if check.is_array(axis)}
        problems += (
            Problem(("matrix", name), "is empty, so that nothing would be made: list values")
            for name, length in axes.items()
            if not length
        )
        combinations = math.prod(axes.values())
        if combinations > MOST_WARM_ITEMS:
            message = f"is too large: {combinations:,} combinations, at most {MOST_WARM_ITEMS:,}"
            problems.append(Problem(("matrix",), message))
        return given

    def items(self) -> list[dict[str, Any]]:
        """The params of every entry, in the order they are declared; each a dict of its own."""
        rows = itertools.product(*self.matrix.values()) if self.matrix else ()
        return [dict(each) for each in self.params] + [
            dict(zip(self.matrix, row, strict=True)) for row in rows
        ]

    def calls_per_second(self) -> float | None:
        """How many calls may be started each second; None for no limit."""
        return None if self.rate is None else check.calls_per_second(self.rate)


def settings_of_policy(value: object) -> object:
    """What a `PrefixConfig` is made of, if `value` is a policy; else `value` itself."""
    if not isinstance(value, CachePolicy):
        return value
    if value.cache_if is not None:
        problem = Problem(("cache_if",), "is code: give it to the decorator or the call")
        raise WrongSettingsError([problem])
    return _exact(value.said())


def _exact(said: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a policy as its constructor takes them, durations as text."""
    return {
        name: check.duration_text(value) if name in DURATIONS and value is not None else value
        for name, value in said.items()
    }


def _problems(error: ValidationError, known: Iterable[str]) -> list[Problem]:
    names = list(known)
    found: list[Problem] = []
    for details in error.errors(include_url=False):
        # pydantic marks what is wrong with a key, not its value, by one more step.
        *outer, last = details["loc"]
        key = tuple(outer) if len(outer) > 1 and last == "[key]" else details["loc"]
        cause = details.get("ctx", {}).get("error")
        if isinstance(cause, WrongSettingsError):
            found += [problem.under(*key) for problem in cause.problems]
        elif details["type"] == "extra_forbidden":
            found.append(Problem(key, unknown(str(last), names)))
        else:
            found.append(Problem(key, _message(details, cause)))
    return found


def _message(details: ErrorDetails, cause: object) -> str:
    match details["type"]:
        case "value_error":
            return str(cause)
        case "missing":
            return "is missing: every [[warm]] needs it"
        case "model_type" | "dict_type":
            return f"is not a table: {shown_value(details['input'])}"
        case "list_type":
            return f"is not an array: {shown_value(details['input'])}"
        case _:
            return details["msg"]
