"""The public names are what is promised, and nothing more."""

import importlib
import inspect

import pytest

import llm_cache
from llm_cache import errors

PROMISED = {
    "LLMCache", "CacheConfig", "CachePolicy", "cached_llm_call", "get_cache", "set_cache",
    "load_config", "CacheError", "KeyParamError", "PrefixError", "PrefixConflictError",
    "RecursiveGenerationError", "GenerationTimeoutError", "ReplayMissError", "StoreError",
    "ConfigError",
}  # fmt: skip


def test_all_is_sorted_and_importable():
    """`__all__` is what can be imported, in order."""
    assert llm_cache.__all__ == sorted(llm_cache.__all__)
    assert set(llm_cache.__all__) >= PROMISED
    assert set(llm_cache.__all__) == set(llm_cache._HOMES)
    for name in llm_cache.__all__:
        assert getattr(llm_cache, name) is not None
        assert name in dir(llm_cache)


def test_an_unknown_name_is_an_attribute_error():
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        llm_cache.nothing  # noqa: B018 - reading it is the test


def test_every_error_derives_from_the_root():
    """One `except CacheError` catches them all; the tree in the docstring is the tree there is."""
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass)]
    assert all(issubclass(c, errors.CacheError) for c in classes)
    drawn = errors.__doc__ or ""
    for each in classes:
        assert each.__name__ in drawn
        for base in each.__bases__:
            if base is not errors.CacheError and base is not Exception:
                assert f"({base.__name__})" in drawn.split(each.__name__)[1].splitlines()[0]


def test_every_public_thing_says_what_it_promises():
    """Each has a docstring, and so has each of its public methods."""
    for name in llm_cache.__all__:
        thing = getattr(llm_cache, name)
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing) and thing.__module__.startswith("llm_cache"):
            for method, member in vars(thing).items():
                if not method.startswith("_") and callable(member):
                    assert inspect.getdoc(member), f"{name}.{method}"


@pytest.mark.parametrize(
    "module", ["llm_cache.api.cache", "llm_cache.api.decorator", "llm_cache.cli"]
)
def test_modules_can_be_imported_alone(module):
    """In any order, without the others having come first."""
    assert importlib.import_module(module)
