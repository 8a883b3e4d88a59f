"""Validators are the user's code: they may take their time, and may use this very cache."""

import pytest
from pydantic import BaseModel, model_validator

from llm_cache import LLMCache


@pytest.mark.timeout(30)
def test_a_validator_that_uses_the_cache_hangs_no_write(cache, directory, gate, in_thread):
    """What another process stored is judged outside of the transaction that found it."""
    seen = []

    class Page(BaseModel):
        text: str

        @model_validator(mode="after")
        def note(self):
            seen.append(self.text)
            cache.put("seen", len(seen))
            return self

    def generate() -> Page:
        msg = "the other one has made it"
        raise AssertionError(msg)

    with LLMCache(directory) as other:
        gate.value = {"text": "made elsewhere"}
        making = in_thread(lambda: other.get_or_generate_sync("p", gate.generate_sync))
        gate.began_sync()
        asking = in_thread(lambda: cache.get_or_generate_sync("p", generate))
        gate.open()
        making()
        [page] = asking()
    assert (type(page), page.text) == (Page, "made elsewhere")
    assert cache.peek("seen").value == len(seen)
