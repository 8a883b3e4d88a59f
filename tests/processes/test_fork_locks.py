"""A fork at any moment of another thread's work: no lock of ours stays held in the child."""

import ast
from pathlib import Path

import pytest

import llm_cache

LOCKS = {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore"}

HOLDING = """
from llm_cache import get_cache
from llm_cache.api import default
from llm_cache.functions import registry
from llm_cache.store.sqlite import _heartbeat

cache = get_cache()
cache.get_or_generate_sync("p", lambda: "text", n=0)
components = cache._engine.components
store = components.store
database = store._file.open()
store.get(b"0" * 32)

LOCKS = {
    "api.default.making": lambda: default._shared.making,
    "functions.registry.lock": lambda: registry._claiming.lock,
    "engine.events._lock": lambda: components.notices._lock,
    "engine._memory._lock": lambda: components.tier._lock,
    "engine._circuit._lock": lambda: components.reads._lock,
    "engine._circuit._adding": lambda: components.generators._adding,
    "engine._flights._lock": lambda: components.flights._lock,
    "engine._flights._some_stored": lambda: components.flights._some_stored,
    "engine._counters._lock": lambda: components.usage._lock,
    "engine._counters._flushing": lambda: components.usage._flushing,
    "engine.threads._lock": lambda: cache._engine._pool._lock,
    "store.stamps._lock": lambda: store.stamps._lock,
    "store.sqlite._writer._lock": lambda: store._writer._lock,
    "store.sqlite._writer._working": lambda: store._writer._working,
    "store.sqlite._database._writing": lambda: store._file.open()._writing,
    "store.sqlite._database.lock": lambda: next(iter(store._file.open()._readers)).lock,
    "store.sqlite._heartbeat._changed": lambda: _heartbeat.heartbeat()._changed,
}

def use_everything(name):
    signal.alarm(30)
    ours = get_cache()
    for n in range(2):
        assert ours.get_or_generate_sync("p", lambda: "text", n=n) == "text"
    assert asyncio.run(ours.get_or_generate("q", lambda: "text", name=name)) == "text"
    ours.get_or_generate_sync("r", lambda: object(), n=1)  # is warned about
    ours.put("s", "text", n=2)
    registry.bindings_of("p")
    ours.invalidate_prefix("s")
    ours.get_stats()
    ours.close()

def fork_beside(name, lock):
    held, go = threading.Event(), threading.Event()
    def hold():
        with lock:
            held.set()
            go.wait(60)
    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    held.wait(60)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            use_everything(name)
            status = 0
        finally:
            os._exit(status)
    go.set()
    holder.join(60)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

for name, find in LOCKS.items():
    cache.peek("p", n=0)
    say(name, fork_beside(name, find()))
say("end")
"""
# A fork waits for these itself, so that nobody is in the middle of what they guard.
WAITED_FOR = {
    "store.sqlite._file._opening",
    "store.sqlite._fork._one_at_a_time",
    "store.sqlite._database._gate",
}


def made_locks() -> set[str]:
    """Every lock that the package makes, by module and attribute."""
    root = Path(llm_cache.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assign) and is_lock(node.value):
                name = ast.unparse(node.targets[0]).removeprefix("self.")
                found.add(f"{module}.{name}")
    return found


def is_lock(value) -> bool:
    """Whether an expression makes a lock of `threading`."""
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr in LOCKS
        and ast.unparse(value.func.value) == "threading"
    )


def held_locks() -> set[str]:
    """Those that a child is forked beside."""
    table = (
        ast.parse(HOLDING.split("LOCKS = ")[1].split("\n}\n", maxsplit=1)[0] + "\n}").body[0].value
    )
    return {key.value for key in table.keys}


def test_every_lock_is_held_beside_a_fork():
    """Who adds one adds it here."""
    assert made_locks() == held_locks() | WAITED_FOR


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_fork_beside_a_held_lock_leaves_the_child_working(start, tmp_path):
    """Whichever it is: the child answers, stores, warns, invalidates and closes."""
    child = start(HOLDING, env={"LLM_CACHE_DIR": str(tmp_path / "shared")})
    ended = {}
    while (line := child.says()) not in {"", "end"}:
        name, status = line.split()
        ended[name] = int(status)
    assert ended == dict.fromkeys(held_locks(), 0), child.ends()


FORKING_GENERATOR = """
cache = LLMCache(directory)
def generate():
    say("child" if (pid := os.fork()) == 0 else "parent")
    generate.pid = pid
    return "text"
signal.alarm(30)
assert cache.get_or_generate_sync("p", generate, n=1) == "text"
if generate.pid == 0:
    assert cache.get_or_generate_sync("p", lambda: "of the child", n=2) == "of the child"
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(generate.pid, 0)[1]) == 0
assert cache.peek("p", n=1).value == "text"
say("end")
"""


def test_a_generator_that_forks_is_answered_in_both(start):
    """The child's copy of the flight goes to its caller, and is not stored."""
    child = start(FORKING_GENERATOR)
    lines = [child.says() for _ in range(3)]
    assert lines[-1] == "end", child.ends()
