"""On whose behalf, and in which mode, the code of a `with` block asks."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from llm_cache.core.keys import check_tenant
from llm_cache.core.policy import MODE, Mode
from llm_cache.errors import ConfigError, TenantRequiredError

if TYPE_CHECKING:
    from collections.abc import Generator


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """A tenant, empty for the default one, and the mode of a block, if it has one.

    There is one object for each, so that telling two apart takes no time.
    """

    tenant: str
    mode: Mode | None = None
    names_tenant: bool = False
    """Whether a block or the configuration says whose; management is then about them only."""


@lru_cache(maxsize=4096)
def _scope(tenant: str, mode: Mode | None, names_tenant: bool) -> Scope:  # noqa: FBT001 - of our own
    return Scope(tenant, mode, names_tenant)


class Scopes:
    """The scope of the running code: tasks and what they start inherit it, threads do not."""

    def __init__(self, tenant: str, *, tenant_required: bool) -> None:
        """`tenant` is whose requests are that no block says anything about."""
        self._requires_tenant = tenant_required
        default = _scope(tenant, None, bool(tenant))
        self._current: ContextVar[Scope] = ContextVar("llm_cache_scope", default=default)
        self.current: Final = self._current.get

    def identified(self) -> Scope:
        """The scope, for a request; TenantRequiredError if it lacks a tenant it has to have."""
        scope = self.current()
        if self._requires_tenant and not scope.tenant:
            msg = (
                "this request has no tenant, and tenant_required is set: make it within "
                "`with cache.tenant(...)`; a thread does not inherit that from who started it"
            )
            raise TenantRequiredError(msg)
        return scope

    @contextmanager
    def tenant(self, tenant: str) -> Generator[None]:
        """Asks on behalf of `tenant` within the block."""
        check_tenant(tenant)
        with self._within(_scope(tenant, self.current().mode, True)):  # noqa: FBT003
            yield

    @contextmanager
    def mode(self, mode: str) -> Generator[None]:
        """Asks in `mode` within the block. ConfigError if there is no such mode."""
        try:
            checked = MODE.check(mode)
        except ValueError as error:
            msg = f"mode: {error}"
            raise ConfigError(msg) from None
        scope = self.current()
        with self._within(_scope(scope.tenant, checked, scope.names_tenant)):
            yield

    @contextmanager
    def _within(self, scope: Scope) -> Generator[None]:
        token = self._current.set(scope)
        try:
            yield
        finally:
            # A generator may be closed in another context than its own: nothing is set there.
            with suppress(ValueError):
                self._current.reset(token)
