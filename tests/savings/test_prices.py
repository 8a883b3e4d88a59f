"""What tokens cost: by `[prices]`, else by `genai-prices`; what is not known stays unknown."""

import asyncio
import builtins
import subprocess
import sys
import threading

import pytest

from llm_cache import ConfigError, Generated, Usage, load_config
from llm_cache.engine._prices import Prices

GUARD_S = 30.0
PAGE = "Adding fractions"
A_MILLION = 1_000_000
SETTINGS = """
[prices.mine]
input = 2
output = 8.5
[prices."acme/cheap:1"]
input = 0
output = 0
[prices.cached]
input = 2
output = 8
cached_input = 0.5
"""


def usage(model, cached=None, cost=None):
    """A million tokens in, two out."""
    return Usage(
        input_tokens=A_MILLION,
        output_tokens=2 * A_MILLION,
        cached_tokens=cached,
        model=model,
        cost_usd=cost,
    )


@pytest.fixture
def priced(tmp_path):
    """What a usage costs under `SETTINGS`."""
    file = tmp_path / "cache.toml"
    file.write_text(SETTINGS)
    prices = Prices(load_config(file, environ={}).prices)
    return lambda usage: prices.priced(usage).cost_usd


# Prices of one's own.


@pytest.mark.parametrize(
    ("used", "cost"),
    [
        (usage("mine"), 2 + 2 * 8.5),
        (usage("acme/cheap:1"), 0.0),
        (usage("cached"), 2 + 2 * 8),
        (usage("cached", cached=400_000), 0.6 * 2 + 0.4 * 0.5 + 2 * 8),
        (usage("mine", cached=400_000), 2 + 2 * 8.5),
        (usage("cached", cached=5 * A_MILLION), 0.5 + 2 * 8),
    ],
    ids=["plain", "free", "none cached", "some cached", "no price of its own", "more than went in"],
)
def test_prices_of_the_file_are_dollars_a_million_tokens(priced, used, cost):
    """Those from the provider's cache at their own price, where there is one."""
    assert priced(used) == pytest.approx(cost)


def test_a_cost_that_is_said_goes_before_prices(priced):
    """The caller has the bill."""
    assert priced(usage("mine", cost=0.125)) == 0.125


@pytest.mark.parametrize(
    "used",
    [
        Usage(input_tokens=5, output_tokens=5),
        Usage(model="mine", input_tokens=5),
        Usage(model="mine", output_tokens=5),
        Usage(),
    ],
    ids=["no model", "no output", "no input", "nothing"],
)
def test_a_cost_takes_a_model_and_both_counts(priced, used):
    """Half of a cost would be a wrong one."""
    assert priced(used) is None


@pytest.mark.parametrize("price", ["-1", "nan", "inf", "true", '"2"'])
def test_what_is_no_price_is_refused(tmp_path, price):
    """With the model and the name of the setting."""
    file = tmp_path / "cache.toml"
    file.write_text(f"[prices.mine]\ninput = {price}\noutput = 1\n")
    with pytest.raises(ConfigError, match=r"cache\.toml:2: .*prices\.mine.*input"):
        load_config(file, environ={})


# Prices of `genai-prices`.


def test_a_known_model_has_a_price(cache):
    """By the package that the extra `prices` installs."""
    cache.put("page", Generated(PAGE, usage("gpt-4o-mini")), n=1)
    assert 0.1 < cache.peek("page", n=1).cost_usd < 100


def test_cached_tokens_are_cheaper_there_too(cache):
    """The package is told of them."""
    cache.put("page", Generated(PAGE, usage("gpt-4o-mini")), n=1)
    cache.put("page", Generated(PAGE, usage("gpt-4o-mini", cached=A_MILLION)), n=2)
    fresh, cached = (cache.peek("page", n=n).cost_usd for n in (1, 2))
    assert 0 < cached < fresh


def test_an_unknown_model_stays_unknown(cache):
    """None, never 0."""
    cache.put("page", Generated(PAGE, usage("a model that nobody sells")), n=1)
    assert cache.peek("page", n=1).cost_usd is None


def test_own_prices_go_before_those_of_the_package(make_cache):
    """A contract may say otherwise than the list."""
    cache = make_cache(prices={"gpt-4o-mini": {"input": 1000.0, "output": 0.0}})
    cache.put("page", Generated(PAGE, usage("gpt-4o-mini")), n=1)
    assert cache.peek("page", n=1).cost_usd == pytest.approx(1000.0)


# A package that is missing, broken or slow.

MISSING = """
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "genai_prices":
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Blocked())
"""
BROKEN = """
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "genai_prices":
            raise RuntimeError("broken")
sys.meta_path.insert(0, Broken())
"""
OF_ANOTHER_RELEASE = """
import types
sys.modules["genai_prices"] = types.ModuleType("genai_prices")
"""
ASKS = """
import sys
from llm_cache import CacheConfig, Generated, LLMCache, Usage
models = sys.argv[2:]
config = CacheConfig(cache_dir=sys.argv[1], prices={"mine": {"input": 1, "output": 1}})
with LLMCache(config=config) as cache:
    for model in models * 2:
        said = Generated("text", Usage(input_tokens=10, output_tokens=10, model=model))
        assert cache.get_or_generate_sync("page", lambda: said, model=model) == "text"
    print([cache.peek("page", model=model).cost_usd for model in models])
    total = cache.get_stats()["total"]
    print([total[name] for name in ("unpriced", "saved_unpriced", "errors")])
print("genai_prices" in sys.modules)
"""


def run(code, *args):
    """What a script says, which warns of nothing."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import sys\n" + code, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "trouble", [MISSING, BROKEN, OF_ANOTHER_RELEASE], ids=["missing", "broken", "another release"]
)
def test_without_the_package_a_cost_is_unknown(directory, trouble):
    """No error and no warning; prices of one's own still count."""
    costs, counts, _ = run(trouble + ASKS, directory, "gpt-4o-mini", "mine")
    assert costs == "[None, 2e-05]"
    assert counts == "[1, 1, 0]"


def test_prices_of_ones_own_load_nothing(directory):
    """Who has all prices in the file does not wait for the package."""
    assert run(ASKS, directory, "mine") == ["[2e-05]", "[0, 0, 0]", "False"]


SLOW_PACKAGE = """
import builtins
builtins.price_package.loads()
def calc_price(usage, model_ref): raise LookupError
class Usage:
    def __init__(self, **_): pass
"""


class Package:
    """A `genai_prices` that is not loaded before it may be."""

    def __init__(self):
        self.loaded_on = []
        self.is_loading, self.may_load = threading.Event(), threading.Event()

    def loads(self):
        """Called by the package as it is imported."""
        self.loaded_on.append(threading.get_ident())
        self.is_loading.set()
        assert self.may_load.wait(GUARD_S / 2)


@pytest.fixture
def slow_package(tmp_path, monkeypatch):
    """The package that `import genai_prices` finds."""
    directory = tmp_path / "site" / "genai_prices"
    directory.mkdir(parents=True)
    (directory / "__init__.py").write_text(SLOW_PACKAGE)
    for name in [n for n in sys.modules if n.partition(".")[0] == "genai_prices"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(directory.parent)
    package = Package()
    monkeypatch.setattr(builtins, "price_package", package, raising=False)
    yield package
    sys.modules.pop("genai_prices", None)


async def generated():
    """A page of a model that has to be looked up."""
    return Generated(PAGE, usage("gpt-4o-mini"))


CALLS = {
    "get_or_generate": lambda cache: cache.get_or_generate("page", generated, n=1),
    "a ttl of 0": lambda cache: cache.get_or_generate("page", generated, ttl=0, n=1),
    "put": lambda cache: cache.aio.put("page", Generated(PAGE, usage("gpt-4o-mini")), n=1),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_asking_for_a_price_does_not_block_the_loop(cache, slow_package, call):
    """The package is loaded on another thread: the loop goes on, or it would never be told to."""
    asking = asyncio.create_task(call(cache))
    assert await asyncio.to_thread(slow_package.is_loading.wait, GUARD_S)
    slow_package.may_load.set()
    async with asyncio.timeout(GUARD_S):
        assert await asking in (PAGE, None)
    assert slow_package.loaded_on != [threading.get_ident()]


def test_the_package_is_loaded_once(cache, slow_package):
    """However many ask."""
    slow_package.may_load.set()
    for n in range(3):
        cache.put("page", Generated(PAGE, usage("gpt-4o-mini")), n=n)
    assert len(slow_package.loaded_on) == 1
