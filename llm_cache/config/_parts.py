"""The tables of a configuration: policies, prices, sets to warm."""

from __future__ import annotations

import itertools
import math
from typing import Any, ClassVar, Final

from llm_cache.config import checks as check
from llm_cache.config._fields import TABLE, Settings, list_of, setting, sound, table, table_of
from llm_cache.config.problems import Problem, WrongSettingsError, unknown
from llm_cache.core.policy import POLICY_FIELDS, UNSET, CachePolicy, PolicyError
from llm_cache.core.setting_types import Kind

MOST_WARM_ITEMS: Final = 100_000


class Price(Settings):
    """What a model costs, in dollars for a million tokens."""

    _needed_by: ClassVar[str] = "every price"

    input: float = setting("what tokens cost that go in", check.PRICE)
    output: float = setting("what tokens cost that come out", check.PRICE)
    cached_input: float | None = setting(
        "what tokens cost that the provider had in its own cache; as input if left out",
        check.PRICE,
        default=None,
    )


class WarmSet(Settings):
    """One `[[warm]]` table: which entries `warm` generates, with which function, and how fast.

    The entries are those of `params`, and every combination of the values of `matrix`.
    """

    _needed_by: ClassVar[str] = "every [[warm]]"

    prefix: str = setting("the prefix of its entries", check.PREFIX)
    generate: str = setting('the function that generates: "module.path:function"', check.GENERATOR)
    params: list[dict[str, Any]] = setting("the params of each entry", list_of(TABLE), default=list)
    matrix: dict[str, list[Any]] = setting(
        "values by param: an entry for every combination",
        table_of(check.NAME, list_of(check.ANYTHING)),
        default=dict,
    )
    concurrency: int = setting("calls at the same time", check.count(1, 1000), default=4)
    retries: int = setting("how often a failed call is repeated", check.count(0, 100), default=3)
    rate: str | None = setting(
        'the most calls in a time: "10/s", "60/min"', check.RATE, default=None
    )

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


def _policy(value: object) -> CachePolicy:
    if isinstance(value, CachePolicy):
        if value.cache_if is not None:
            problem = Problem(("cache_if",), "is code: give it to the decorator or the call")
            raise WrongSettingsError([problem])
        return value
    given = table(value)
    known = (*FILE_FIELDS, "ttl_hours")
    problems = [Problem((name,), unknown(name, known)) for name in given if name not in known]
    policy = UNSET
    try:
        policy = CachePolicy(**{name: given[name] for name in known if name in given})
    except PolicyError as error:
        problems += (Problem((name,), message) for name, message in error.wrong.items())
    return sound(policy, problems)


FILE_FIELDS: Final = {name: field for name, field in POLICY_FIELDS.items() if field.in_files}
"""The fields of a policy that a file may set."""
POLICY: Final = Kind(_policy, {"$ref": "#/definitions/policy"})
