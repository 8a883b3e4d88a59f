"""An entry as stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llm_cache.core.keys import ID_DIGITS
from llm_cache.core.policy_resolution import NOTHING, Remembered
from llm_cache.core.redaction import show_params
from llm_cache.core.values.codec import SHOWN, Codec

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, repr=False)
class EntryInfo:
    """Everything about an entry but its value.

    Instants are epoch seconds, durations seconds, sizes bytes. `params_json` is the canonical
    params, with secrets replaced if `redacted`. `size_bytes` is what value and params take as
    stored, `value_bytes` the value before compression. `used_at` is `created_at` until the first
    hit. `remembered` is what the code that made it said of how long it is served, beside the ttls.
    """

    key: bytes
    request: bytes
    params_json: bytes
    prefix: str
    encoding: str
    size_bytes: int
    value_bytes: int
    created_at: float
    tenant: str = ""
    version: str = ""
    variant: int = 0
    redacted: bool = False
    call_ttl: float | None = None
    decorator_ttl: float | None = None
    generation_seconds: float | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    hits: int = 0
    used_at: float = 0.0
    remembered: Remembered = NOTHING
    id_digits: int = ID_DIGITS

    def __repr__(self) -> str:
        """What a reader needs to recognise it: the keys and bodies are long."""
        return (
            f"{type(self).__name__}(id={self.id!r}, prefix={self.prefix!r}, "
            f"params={self.params!r}, created_at={self.created_at!r}, "
            f"size_bytes={self.size_bytes}, hits={self.hits})"
        )

    @property
    def id(self) -> str:
        """The first hex digits of the key: 8, or more where two entries of a listing share 8."""
        return self.key.hex()[: self.id_digits]

    @property
    def last_used_at(self) -> float | None:
        """The instant of the last hit, or None before the first."""
        return self.used_at if self.hits else None

    @property
    def stored_value_bytes(self) -> int:
        """What the value alone takes as stored."""
        return self.size_bytes - len(self.params_json)

    @property
    def params(self) -> Mapping[str, object]:
        """The params for a reader: plain JSON values, tagged ones (dates, enums …) as text."""
        return show_params(self.params_json)


@dataclass(frozen=True, slots=True, repr=False)
class Entry(EntryInfo):
    """A value as stored, with everything known about it."""

    body: bytes = field(kw_only=True, repr=False)
    codec: Codec = field(default=SHOWN, kw_only=True, repr=False, compare=False)

    @property
    def value(self) -> object:
        """The value, in a copy of its own; typed as the function that was asked, else as JSON."""
        return self.codec.decode(self.body, self.encoding)


def taken_bytes(body: bytes, params_json: bytes) -> int:
    """The `size_bytes` of an entry: its value and its params as stored."""
    return len(body) + len(params_json)
