"""Every error this package raises on purpose.

    CacheError
    ├── ConfigError               (ValueError)    a setting is wrong
    ├── KeyParamError             (TypeError)     a param has no stable value for a key
    ├── PrefixError               (ValueError)    a prefix is not allowed
    ├── PrefixConflictError                       two functions claim one prefix
    ├── RecursiveGenerationError  (RuntimeError)  a generator waits for itself
    ├── GenerationTimeoutError    (TimeoutError)  a generator took longer than it may
    ├── EventLoopError            (RuntimeError)  an async call is not run by asyncio
    ├── ReplayMissError           (LookupError)   mode is replay and there is no recording
    ├── TenantRequiredError       (RuntimeError)  a tenant is required and none is set
    └── StoreError                                the store could not do what was asked

Lookups never raise `StoreError`: a store in trouble counts as a miss. The management calls
(`put`, `invalidate`, `prune`, `clear_all`, `entries`) do, since "done" must mean done.
"""

from __future__ import annotations


class CacheError(Exception):
    """The root of every error of this package."""


class ConfigError(CacheError, ValueError):
    """A setting is wrong. The message names the file, the line and the key where there are any."""


class KeyParamError(CacheError, TypeError):
    """A param has no stable value to make a key of. The message names the param and the way out."""


class PrefixError(CacheError, ValueError):
    """A prefix is not 1 to 128 letters, digits or `_ - . / :`."""


class PrefixConflictError(CacheError):
    """Two different functions of this process claim the same prefix without `shared=True`.

    Raised when decorating; when calling, if it shows only then, or if the module or the cell of the
    function was run again and defines another one for the prefix now.
    """


class RecursiveGenerationError(CacheError, RuntimeError):
    """A generator asked for the very value it is making, directly or through other generators."""


class GenerationTimeoutError(CacheError, TimeoutError):
    """A generator ran longer than the `timeout` of its policy. Nothing was stored."""


class EventLoopError(CacheError, RuntimeError):
    """An async call is not run by an event loop of asyncio: by trio, say, or by hand."""


class ReplayMissError(CacheError, LookupError):
    """The mode is `replay` and no recording answers the request.

    The message tells of the nearest recording, and what differs.
    """


class TenantRequiredError(CacheError, RuntimeError):
    """A request was made without a tenant, and the settings require one."""


class StoreError(CacheError):
    """The store could not do what was asked: nothing was changed. The message says why."""
