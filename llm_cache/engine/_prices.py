"""What tokens cost: by the prices of the configuration, else by `genai-prices` if installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llm_cache.core.fork_locks import lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llm_cache.config import Price
    from llm_cache.core.usage import Usage

_A_MILLION: Final = 1_000_000


class Prices:
    """Works out costs. What is not known stays unknown: nothing here raises."""

    def __init__(self, own: Mapping[str, Price]) -> None:
        """`own` prices, by model, override all others."""
        self._own = own

    def knows_at_once(self, usage: Usage) -> bool:
        """Whether asking does not load anything first."""
        return not usage.lacks_cost or usage.model in self._own or "_others" in vars(self)

    def priced(self, usage: Usage) -> Usage:
        """`usage` with its cost, where that can be worked out. The first time may take long."""
        if not usage.lacks_cost or usage.model is None:
            return usage
        from llm_cache.core.usage import with_cost

        own = self._own.get(usage.model)
        cost = self._others if own is None else _by(own)
        return with_cost(usage, cost(usage))

    @lazy
    def _others(self) -> Callable[[Usage], float | None]:
        try:
            import genai_prices
        except Exception:  # noqa: BLE001 - not installed, or broken: either way no prices
            return lambda _: None
        return lambda usage: _by_genai_prices(genai_prices, usage)


def _by(price: Price) -> Callable[[Usage], float]:
    def cost(usage: Usage) -> float:
        cached = min(usage.cached_tokens or 0, usage.input_tokens or 0)
        cached_price = price.input if price.cached_input is None else price.cached_input
        fresh = (usage.input_tokens or 0) - cached
        made = usage.output_tokens or 0
        total = fresh * price.input + cached * cached_price + made * price.output
        return total / _A_MILLION

    return cost


def _by_genai_prices(package: Any, usage: Usage) -> float | None:
    try:
        used = package.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_tokens or 0,
        )
        return float(package.calc_price(used, model_ref=usage.model).total_price)
    except Exception:  # noqa: BLE001 - a model it does not know, or a release that works otherwise
        return None
