"""Committed keys stay what they are: a release that changes one empties everybody's cache."""

import os
import pathlib
import re
import subprocess
import sys

import pytest
from golden_inputs import Vector, construct, digests_of, read_vectors

from llm_cache.core.keys import Identity, canonical_params, check_prefix

VECTORS = read_vectors()
HERE = pathlib.Path(__file__).parent
every_vector = pytest.mark.parametrize("vector", VECTORS, ids=[v["name"] for v in VECTORS])


def identity_of(vector: Vector, canonical: bytes) -> Identity:
    """What a vector identifies, with `canonical` as its params."""
    return Identity(
        prefix=vector["prefix"],
        params_json=canonical,
        version=vector.get("version", ""),
        tenant=vector.get("tenant", ""),
        variant=vector.get("variant", 0),
    )


@every_vector
def test_params_have_their_committed_canonical_json(vector):
    """The params of a vector have the canonical JSON that was written down for them."""
    assert canonical_params(construct(vector["params"])).decode() == vector["canonical"]


@every_vector
def test_digests_follow_the_specification(vector):
    """The committed digests are what the specification says, without the library."""
    assert digests_of(vector) == (vector["key"], vector["request"])


@every_vector
def test_requests_have_their_committed_key(vector):
    """The inputs of a vector lead to its committed key and request."""
    identity = identity_of(vector, canonical_params(construct(vector["params"])))
    assert identity.key.hex() == vector["key"]
    assert identity.request.hex() == vector["request"]


@every_vector
def test_committed_prefixes_are_allowed(vector):
    """A prefix that was allowed once stays so."""
    assert check_prefix(vector["prefix"]) == vector["prefix"]


def test_no_two_vectors_share_a_key():
    """Different names of vectors stand for different keys, but for what says variant 0 aloud."""
    assert len({v["key"] for v in VECTORS}) == len(VECTORS)


def test_a_request_is_shared_by_its_variants_alone():
    """Vectors with one request differ in nothing but the variant."""
    by_request: dict[str, set[tuple[str, ...]]] = {}
    for v in VECTORS:
        fields = (v.get("tenant", ""), v["prefix"], v.get("version", ""), v["canonical"])
        by_request.setdefault(v["request"], set()).add(fields)
    assert all(len(fields) == 1 for fields in by_request.values())
    assert len(by_request) < len(VECTORS)


def test_every_frame_and_every_kind_of_value_has_a_vector():
    """A frame or a tag without a golden vector could change unseen."""
    assert all(any(v.get(frame) for v in VECTORS) for frame in ("tenant", "version", "variant"))
    tags = {tag for v in VECTORS for tag in re.findall(r'"\$([a-z]+)[:"]', v["canonical"])}
    assert tags == {
        *("int", "float", "str", "bytes", "decimal", "uuid", "path", "url", "secret", "enum"),
        *("date", "datetime", "time", "timedelta", "tuple", "dataclass", "model"),
    }
    assert len(VECTORS) >= 60


PRINT_KEYS = """
from golden_inputs import construct, read_vectors
from test_golden import identity_of
from llm_cache.core.keys import canonical_params

for vector in read_vectors():
    params = construct(vector["params"])
    # The order of a set of str is what PYTHONHASHSEED decides.
    shuffled = {name: params[name] for name in set(params)}
    print(identity_of(vector, canonical_params(shuffled)).key.hex())
"""


@pytest.mark.parametrize("seed", ["0", "1", "4711", "random"])
def test_keys_are_the_same_under_every_hash_seed(seed):
    """Another PYTHONHASHSEED, so another process, comes to the same keys."""
    path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", PRINT_KEYS],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    here = [identity_of(v, canonical_params(construct(v["params"]))).key.hex() for v in VECTORS]
    assert done.stdout.split() == here
