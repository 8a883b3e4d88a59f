"""Which versions of a prefix are current."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_cache.core.policy import AUTO_VERSION
from llm_cache.errors import ConfigError
from llm_cache.functions.registry import bindings_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_cache.core.policy_resolution import PolicyTable
    from llm_cache.store.records import Total


def current_versions(policies: PolicyTable, totals: Iterable[Total]) -> dict[str, set[str]]:
    """The current versions of each prefix that is held, as far as they are known.

    A prefix that neither the file nor a decorated function says anything about is left out.
    """
    found: dict[str, set[str]] = {}
    for prefix in sorted({total.prefix for total in totals}):
        versions = _versions(policies, prefix)
        if versions:
            found[prefix] = versions
    return found


def _versions(policies: PolicyTable, prefix: str) -> set[str]:
    said = policies.prefixes.get(prefix)
    if said is not None and said.version not in (None, AUTO_VERSION):
        return {str(said.version)}
    try:
        return {
            binding.version(policies.resolve(prefix, decorator=binding.policy))
            for binding in bindings_of(prefix)
        }
    except ConfigError:
        return set()  # a source that cannot be read: nobody knows
