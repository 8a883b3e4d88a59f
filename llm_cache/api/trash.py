"""What was invalidated and is kept for a while, so that it can be taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_cache.api.stats import Amount, amounts_by_prefix
from llm_cache.core.arguments import check_id, check_keys
from llm_cache.store.records import Selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_cache.engine.steps import Components
    from llm_cache.store.records import Trashed

RESTORED_AT_ONCE = 500


class Trash:
    """The trash of a cache; of one tenant, or of all if that is None.

    Entries are in it for 7 days at most, and less where the cache is over `max_disk`. Every call
    raises StoreError when the store cannot do it.
    """

    def __init__(self, components: Components, tenant: str | None) -> None:
        self._components = components
        self._tenant = tenant

    def entries(self, prefix: str | None = None) -> Iterator[Trashed]:
        """What is in it, the last removed first; read as it is taken."""
        return self._components.store.trashed(Selection(prefix=prefix, tenant=self._tenant))

    def totals(self) -> dict[str, Amount]:
        """Entries and bytes in it by prefix."""
        return amounts_by_prefix(self._components.store.trash_totals(), self._tenant)

    def find(self, id_digits: str) -> list[Trashed]:
        """What is in it of keys that begin with these hex digits."""
        which = Selection(key_digits=check_id(id_digits), tenant=self._tenant)
        return list(self._components.store.trashed(which))

    def restore(self, keys: Iterable[bytes]) -> list[bytes]:
        """Takes the entries of these keys back; which those are.

        What was regenerated since stays as it is: its older entry is left in the trash. What is
        being generated for the others goes to its callers and is not kept.
        """
        wanted = list(check_keys(keys))
        restored: list[bytes] = []
        for at in range(0, len(wanted), RESTORED_AT_ONCE):
            restored += self._restore(tuple(wanted[at : at + RESTORED_AT_ONCE]))
        return restored

    def _restore(self, keys: tuple[bytes, ...]) -> list[bytes]:
        if self._tenant is not None:
            theirs = self._components.store.trashed(Selection(keys=keys, tenant=self._tenant))
            keys = tuple([trashed.entry.key for trashed in theirs])
        try:
            return self._components.store.restore(keys)
        finally:
            # Also where it was interrupted: nobody knows then whether they are back.
            self._components.store.stamps.renew(keys)
