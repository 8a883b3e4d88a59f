"""Asks a cache about requests whose params are canonical JSON already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from llm_cache.api._management import engine_of
from llm_cache.core.keys import Identity, check_prefix
from llm_cache.core.policy import CachePolicy
from llm_cache.core.values.codec import UNTYPED
from llm_cache.engine.call import Call

if TYPE_CHECKING:
    from llm_cache.api.cache import LLMCache
    from llm_cache.engine.explain import Why


class CanonicalRequest(NamedTuple):
    """A request of a prefix: its params as canonical JSON, and its version."""

    params_json: bytes
    version: str


class CanonicalRequests:
    """Answers `peek` and `why` for canonical requests of one prefix, for the tenant in force.

    Raises:
        PrefixError: it is no prefix.
        TenantRequiredError: the settings require a tenant, and none is in force.
    """

    def __init__(self, cache: LLMCache, prefix: str) -> None:
        self._engine: Final = engine_of(cache)
        self.prefix: Final = check_prefix(prefix)
        self._scope: Final = self._engine.scopes.identified()
        self.tenant: Final = self._scope.tenant

    def is_there(self, request: CanonicalRequest, ttl: str | None = None) -> bool:
        """Whether an entry would answer, with a ttl of the call's own if that is given."""
        return self._engine.peek(self._call(request, ttl)) is not None

    def why(self, request: CanonicalRequest) -> Why:
        """Whether the request would hit, and why not."""
        return self._engine.why(self._call(request, None))

    def _call(self, request: CanonicalRequest, ttl: str | None) -> Call:
        own = CachePolicy(version=request.version, ttl=ttl)
        policy = self._engine.policy(self.prefix, call=own, mode_in_block=self._scope.mode)
        identity = Identity(self.prefix, request.params_json, request.version, self.tenant)
        return Call.of(identity, _never, policy, UNTYPED)


def _never() -> object:
    raise AssertionError
