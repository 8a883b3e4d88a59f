"""How the golden vectors are written down, and what they are checked with.

A value in `golden.json` is plain JSON, or an object with one name that begins with `!`, such as
`{"!date": "2026-11-22"}`: what stands behind it goes to the constructor of that name below.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import hashlib
import io
import json
import pathlib
import struct
import uuid
import zoneinfo
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import pydantic

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = pathlib.Path(__file__).with_name("golden.json")


class Vector(TypedDict, total=False):
    """One line of `golden.json`; tenant and version are empty and variant is 0 where left out."""

    name: str
    tenant: str
    prefix: str
    version: str
    variant: int
    params: object
    canonical: str
    key: str
    request: str


def read_vectors() -> list[Vector]:
    """Every golden vector, as committed."""
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def framed_digest(*fields: str | bytes) -> str:
    """SHA-256 over `fields`, each behind its length: what docs/decisions/008 says of keys."""
    digest = hashlib.sha256()
    for field in fields:
        content = field.encode() if isinstance(field, str) else field
        digest.update(struct.pack(">Q", len(content)) + content)
    return digest.hexdigest()


def digests_of(vector: Vector) -> tuple[str, str]:
    """The key and the request of a vector, from its canonical JSON and nothing of the library's."""
    request = (
        "llm-cache-key-1",
        vector.get("tenant", ""),
        vector["prefix"],
        vector.get("version", ""),
        vector["canonical"],
    )
    variant = vector.get("variant", 0)
    return framed_digest(*request, str(variant) if variant else ""), framed_digest(*request)


class Color(enum.Enum):
    """An enum as an application has them."""

    RED = 1
    GREEN = "green"
    CURVE = object()


class Level(enum.IntEnum):
    """An enum whose members are ints."""

    HARD = 3


class Mode(enum.StrEnum):
    """An enum whose members are strs."""

    SHORT = "short"


class Access(enum.Flag):
    """An enum whose members add up."""

    READ = 1
    WRITE = 2


class Word(str):
    """A str with another name."""

    __slots__ = ()


class Count(int):
    """An int with another name."""


class Ratio(float):
    """A float with another name."""


class Point(NamedTuple):
    """A tuple whose items have names."""

    x: int
    y: float


@dataclass
class Grade:
    """A dataclass as an application has them."""

    level: int
    name: str = "fifth"


@dataclass
class Lesson:
    """A dataclass with a dataclass inside."""

    grade: Grade
    topics: list[str]


class Topic(pydantic.BaseModel):
    """A model as an application has them."""

    title: str
    minutes: int = 45


class Open(pydantic.BaseModel):
    """A model that takes any further field."""

    model_config = pydantic.ConfigDict(extra="allow")

    title: str


class Account(pydantic.BaseModel):
    """A model with a secret in it."""

    token: pydantic.SecretStr


def _zone() -> zoneinfo.ZoneInfo:
    # A zone of our own, one hour from UTC: those of the machine change with its tz database.
    header = b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    data = io.BytesIO(header + struct.pack(">lbb", 3600, 0, 0) + b"TST\0")
    return zoneinfo.ZoneInfo.from_file(data, key="Test/Plus_One")


def _folded(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(fold=1)


def _zoned(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=_zone())


CONSTRUCTORS: dict[str, Callable[..., object]] = {
    "!tuple": tuple,
    "!float": float,
    "!bytes": bytes.fromhex,
    "!bytearray": bytearray.fromhex,
    "!date": dt.date.fromisoformat,
    "!datetime": dt.datetime.fromisoformat,
    "!datetime folded": _folded,
    "!datetime zoned": _zoned,
    "!datetime zoned folded": lambda text: _zoned(text).replace(fold=1),
    "!time": dt.time.fromisoformat,
    "!timedelta": lambda parts: dt.timedelta(*parts),
    "!decimal": decimal.Decimal,
    "!uuid": uuid.UUID,
    "!purepath": pathlib.PurePosixPath,
    "!path": pathlib.PosixPath,
    "!color": lambda name: Color[name],
    "!level": lambda name: Level[name],
    "!mode": lambda name: Mode[name],
    "!access": Access,
    "!word": Word,
    "!count": Count,
    "!ratio": Ratio,
    "!point": lambda items: Point(*items),
    "!grade": lambda fields: Grade(**fields),
    "!lesson": lambda fields: Lesson(**fields),
    "!topic": lambda fields: Topic(**fields),
    "!open": lambda fields: Open(**fields),
    "!account": lambda fields: Account(**fields),
    "!secret": pydantic.SecretStr,
    "!secret bytes": lambda digits: pydantic.SecretBytes(bytes.fromhex(digits)),
    "!url": pydantic.AnyUrl,
}


def construct(described: object) -> object:
    """The value that a description in `golden.json` stands for."""
    if isinstance(described, list):
        return [construct(item) for item in described]
    if not isinstance(described, dict):
        return described
    inside = {name: construct(item) for name, item in described.items()}
    name = next(iter(inside), "")
    return CONSTRUCTORS[name](inside[name]) if name.startswith("!") else inside
