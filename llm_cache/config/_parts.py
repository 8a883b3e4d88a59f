"""The parts of a configuration."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from llm_cache.config import checks as check
from llm_cache.config._fields import (
    Settings,
    list_of,
    made_anew,
    required,
    setting,
    table,
    table_of,
)
from llm_cache.config.problems import Problem, WrongSettingsError
from llm_cache.core.policy import DURATIONS, POLICY_FIELDS, CachePolicy, Mode, StoreParams

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llm_cache.core.units import Duration

MOST_WARM_ITEMS: Final = 100_000
POLICY_FIELDS_OF_FILES: Final = tuple(name for name in POLICY_FIELDS if name != "cache_if")
_Names: TypeAlias = tuple[str, ...] | None


class PrefixConfig(Settings):
    """What a file says about a prefix, or about all of them; durations in seconds.

    Takes `ttl_hours`, a number, in place of `ttl`.
    """

    _also_known: ClassVar[tuple[str, ...]] = ("ttl_hours",)

    ttl: float | None = setting(check.seconds, default=None)
    ttl_jitter: float | None = setting(check.policy_field("ttl_jitter"), default=None)
    grace: float | None = setting(check.seconds, default=None)
    stale_if_error: float | None = setting(check.seconds, default=None)
    version: str | None = setting(check.text, default=None)
    timeout: float | None = setting(check.seconds, default=None)
    lock_timeout: float | None = setting(check.seconds, default=None)
    mode: Mode | None = setting(check.policy_field("mode"), default=None)
    store_if: _Names = setting(check.policy_field("store_if"), default=None)
    store_params: StoreParams | None = setting(check.policy_field("store_params"), default=None)
    secret_params: _Names = setting(check.policy_field("secret_params"), default=None)
    public_params: _Names = setting(check.policy_field("public_params"), default=None)

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

    _needed_by: ClassVar[str] = "every price"

    input: float = required(check.price)
    output: float = required(check.price)
    cached_input: float | None = setting(check.price, default=None)


class WarmSet(Settings):
    """One `[[warm]]` table: which entries `warm` makes, with which function, and how eagerly.

    The entries are those of `params`, and every combination of the values of `matrix`.
    """

    _needed_by: ClassVar[str] = "every [[warm]]"

    prefix: str = required(check.prefix_name)
    generate: str = required(check.generator_name)
    params: list[dict[str, Any]] = made_anew(list_of(table), list)
    matrix: dict[str, list[Any]] = made_anew(table_of(check.name, list_of(check.anything)), dict)
    concurrency: int = setting(check.count(1, 1000), default=4)
    retries: int = setting(check.count(0, 100), default=3)
    rate: str | None = setting(check.rate_text, default=None)

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


def prefix_config(value: object) -> PrefixConfig:
    """What a table or a policy says about a prefix."""
    return PrefixConfig.of(settings_of_policy(value))


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
