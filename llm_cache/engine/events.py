"""Reports how each request was answered, to a callback and to the log; warns once of trouble."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final

from llm_cache.core.arguments import refuse_argument
from llm_cache.core.fork_locks import reset_after_fork
from llm_cache.core.keys import ID_DIGITS
from llm_cache.core.values.refusals import told
from llm_cache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_cache.core.entry import EntryInfo
    from llm_cache.core.keys import Identity
    from llm_cache.core.result import Outcome, Reason, Result

_log: Final = logging.getLogger("llm_cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """How one request was answered, and why.

    `outcome` and `reason` are None where it was not: `error` is what its caller gets. `key` is in
    64 hex digits. `not_stored` says why a value that was generated is not kept.
    """

    tenant: str
    prefix: str
    key: str
    outcome: Outcome | None = None
    reason: Reason | None = None
    not_stored: str | None = None
    error: Exception | None = None


def check_listener(on_event: object) -> None:
    """Returns if it can be told something at once; ConfigError if it cannot."""
    if on_event is not None and not callable(on_event):
        refuse_argument("on_event", on_event, "a function that takes an event")
    if iscoroutinefunction(on_event):
        msg = "on_event is async, and nobody would await it: write a plain function"
        raise ConfigError(msg)


class Notices:
    """Logs a warning the first time something happens, and at DEBUG after that.

    A store in trouble must not fill the application's log.
    """

    def __init__(self) -> None:
        self._said: set[tuple[str, ...]] = set()
        reset_after_fork(self._make_locks)

    def _make_locks(self) -> None:
        self._lock = threading.Lock()

    def once(self, about: tuple[str, ...], message: str, *arguments: object) -> None:
        """Logs `message % arguments` as a warning if nothing was said about this before."""
        with self._lock:
            is_news = about not in self._said
            self._said.add(about)
        _log.log(logging.WARNING if is_news else logging.DEBUG, message, *arguments)


class Reporter:
    """Reports to `on_event` and, at DEBUG, to the log `llm_cache`. Params are never reported."""

    def __init__(self, on_event: Callable[[Event], object] | None, notices: Notices) -> None:
        self._on_event = on_event
        self._notices = notices

    def is_heard(self) -> bool:
        """Whether anybody listens."""
        return self._on_event is not None or _log.isEnabledFor(logging.DEBUG)

    def answered(self, identity: Identity | EntryInfo, result: Result[Any]) -> None:
        """A request got its value."""
        if not self.is_heard():
            return
        self._report(
            Event(
                tenant=identity.tenant,
                prefix=identity.prefix,
                key=identity.key.hex(),
                outcome=result.outcome,
                reason=result.reason,
                not_stored=result.not_stored,
            )
        )

    def failed(self, identity: Identity, error: Exception) -> None:
        """A request got an error."""
        if self.is_heard():
            key = identity.key.hex()
            tenant, prefix = identity.tenant, identity.prefix
            self._report(Event(tenant=tenant, prefix=prefix, key=key, error=error))

    def _report(self, event: Event) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s", _line(event))
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception as error:  # noqa: BLE001 - the user's code; the answer is there
            self._notices.once(("on_event",), "on_event raised %s, and is ignored", told(error))


def _line(event: Event) -> str:
    whose = f"{event.tenant}: " if event.tenant else ""
    what = f"{whose}{event.prefix} {event.key[:ID_DIGITS]}"
    if event.error is not None:
        return f"{what}: error ({type(event.error).__name__})"
    not_stored = "" if event.not_stored is None else f", not stored: {event.not_stored}"
    return f"{what}: {event.outcome} ({event.reason}{not_stored})"
