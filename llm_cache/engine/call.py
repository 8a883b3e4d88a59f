"""A request: its key, its generator and its policy, made from what a caller wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from llm_cache.core.arguments import refuse_argument
from llm_cache.core.keys import Identity, canonical_params, check_prefix
from llm_cache.core.policy import AUTO_VERSION, CachePolicy, Mode, check_policy
from llm_cache.errors import ConfigError, KeyParamError
from llm_cache.functions.binding import version_of_source
from llm_cache.functions.registry import bindings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_cache.core.policy_resolution import Policy
    from llm_cache.core.units import Duration
    from llm_cache.core.values.codec import Codec
    from llm_cache.engine._scope import Scope


@dataclass(frozen=True, slots=True)
class Call:
    """One request: what is asked for, how to make it, and under which policy."""

    identity: Identity
    generator: Callable[[], object] = field(repr=False)  # its arguments may be secrets
    policy: Policy
    codec: Codec
    refresh: bool = False

    @classmethod
    def of(
        cls,
        identity: Identity,
        generator: Callable[[], object],
        policy: Policy,
        codec: Codec,
        *,
        refresh: bool = False,
    ) -> Call:
        """A request, refreshed where its caller or its mode says so."""
        if policy.mode is not Mode.LIVE:
            refresh = policy.mode is not Mode.REPLAY and (refresh or policy.mode is Mode.REFRESH)
        return cls(identity, generator, policy, codec, refresh)

    def refreshing(self) -> Call:
        """The same, refreshed; not in the mode `replay`, which never generates."""
        return self if self.policy.mode is Mode.REPLAY else replace(self, refresh=True)


def make_call(
    find_scope: Callable[[], Scope],
    policy_of: Callable[..., Policy],
    prefix: str,
    generator: Callable[[], object] | None,
    policy: CachePolicy | None,
    params: Mapping[str, object] | None,
    named: Mapping[str, object],
    codec: Codec,
) -> Call:
    """A request from what a caller wrote; without a generator it is for looking only.

    `find_scope` gives the tenant and the mode it is made in; `policy_of` resolves its policy.

    Raises PrefixError, KeyParamError, TenantRequiredError, and ConfigError if an argument is of a
    wrong type, or its version cannot be told.
    """
    check_prefix(prefix)
    if params is not None and named:
        msg = (
            f"{prefix}: params= and {next(iter(named))}= are both given: "
            "put everything into params={...}"
        )
        raise KeyParamError(msg)
    scope = find_scope()
    try:
        merged = policy_of(prefix, call=policy, mode_in_block=scope.mode)
    except TypeError:  # it has no hash: no policy is like that
        check_policy(policy)
        raise
    version = merged.version
    if version == AUTO_VERSION:
        version = _version_of_prefix(prefix) if generator is None else version_of_source(generator)
    canonical = canonical_params(named if params is None else _mapping(params))
    identity = Identity(prefix, canonical, version, scope.tenant)
    return Call.of(identity, generator or _never, merged, codec)


def _mapping(params: Mapping[str, object]) -> dict[str, object]:
    if not isinstance(params, Mapping):
        refuse_argument("params", params, "a dict, params={'subject': 'math'}")
    return dict(params)


def _version_of_prefix(prefix: str) -> str:
    """The version `auto` of the functions that are decorated for a prefix, if it is one."""
    versions = {version_of_source(binding.function) for binding in bindings_of(prefix)}
    if len(versions) != 1:
        msg = (
            f"{prefix}: version='auto' is that of the function that generates, and this call names "
            "none: ask by the decorated function, or name the version with CachePolicy(version=...)"
        )
        raise ConfigError(msg)
    return versions.pop()


def _never() -> object:
    raise AssertionError


def with_ttl(policy: CachePolicy | None, ttl: Duration | None) -> CachePolicy | None:
    """A call's policy with the call's ttl, which overrides it."""
    if ttl is None:
        return policy
    try:
        own = _of_ttl(ttl)
    except TypeError:  # it has no hash: no duration is like that
        own = CachePolicy(ttl=ttl)
    return own if policy is None else own.over(check_policy(policy))


@lru_cache(maxsize=1024, typed=True)
def _of_ttl(ttl: Duration) -> CachePolicy:
    return CachePolicy(ttl=ttl)
