"""The clock that deadlines between processes go by: no wall clock, and the same for all of them."""

from __future__ import annotations

import os
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Final

_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Seconds since the machine was started, sleep included (on macOS, CLOCK_MONOTONIC counts it)."""
_NAME_BYTES: Final = 64


def seconds_since_boot() -> float:
    """An instant that means the same in every process of this boot and time namespace."""
    return time.clock_gettime(_CLOCK)


@lru_cache(maxsize=1)
def boot_id() -> str:
    """What names this boot and time namespace: an instant of another means nothing here."""
    if sys.platform == "linux":
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        try:
            return f"{boot} {Path('/proc/self/ns/time').readlink()}"
        except OSError:  # a kernel that has no time namespaces
            return boot
    return _boot_session()


def _boot_session() -> str:
    """The name that macOS gives a boot."""
    import ctypes

    name, size = ctypes.create_string_buffer(_NAME_BYTES), ctypes.c_size_t(_NAME_BYTES)
    system = ctypes.CDLL(None, use_errno=True)
    if system.sysctlbyname(b"kern.bootsessionuuid", name, ctypes.byref(size), None, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return name.value.decode("ascii")
