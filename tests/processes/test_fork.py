"""A process that forks with its cache open."""

import pytest

PREFORK = """
cache = LLMCache(directory)
cache.put("p", "of the parent", n=0)
assert cache.get_or_generate_sync("p", lambda: "never", n=0) == "of the parent"
inherited = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
             if os.path.exists(f"/proc/self/fd/{fd}")}
pids = []
for worker in range(4):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            # At the moment of the fork no connection was open.
            names = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                     if os.path.exists(f"/proc/self/fd/{fd}")]
            assert not any(name.endswith(("cache.db", "-wal", "-shm")) for name in names), names
            assert cache.get_or_generate_sync("p", lambda: "never", n=0) == "of the parent"
            for n in range(50):
                cache.put("p", f"of worker {worker}", worker=worker, n=n)
                value = asyncio.run(cache.get_or_generate("q", lambda: f"made {n}", n=n))
                assert value == f"made {n}", value
            status = 0
        finally:
            if status:
                import traceback
                traceback.print_exc()
                os._exit(1)
        sys.exit(0)  # with everything that the end of an interpreter does
    pids.append(pid)
for n in range(50):
    cache.put("p", "of the parent", n=n)
statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
for worker in range(4):
    for n in range(50):
        assert cache.peek("p", worker=worker, n=n).value == f"of worker {worker}"
for n in range(50):
    assert cache.peek("p", n=n).value == "of the parent"
assert len(list(cache.entries("q"))) == 50
cache.close()
say(json.dumps(statuses))
"""

MULTIPROCESSING = """
import multiprocessing
cache = LLMCache(directory)
def generate(n):
    with open(directory + ".made", "a") as made:
        made.write(f"{n}\\n")
    return f"made {n}"
def work(n):
    return cache.get_or_generate_sync("p", lambda: generate(n % 20), n=n % 20)
if __name__ == "__main__":
    assert work(0) == "made 0"
    with multiprocessing.get_context("fork").Pool(4) as pool:
        values = pool.map(work, range(200), chunksize=1)
    assert values == [f"made {n % 20}" for n in range(200)]
    say(len(list(cache.entries())), len(open(directory + ".made").readlines()))
    cache.close()
"""

BUSY = """
cache = LLMCache(directory)
stop = threading.Event()
failures = []
def work(name):
    n = 0
    while not stop.is_set():
        n += 1
        try:
            value = cache.get_or_generate_sync(name, lambda: f"{name} {n}", n=n)
            assert value == f"{name} {n}", value
            cache.put(name, value, n=n)
            assert cache.peek(name, n=n).value == value
        except BaseException as error:
            failures.append(repr(error))
            return
threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(4)]
for thread in threads: thread.start()
for round in range(20):
    pid = os.fork()
    if pid == 0:
        try:
            ok = cache.get_or_generate_sync("child", lambda: round, round=round) == round
            cache.put("child", round, round=round)
            os._exit(0 if ok else 3)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
stop.set()
for thread in threads: thread.join(20)
assert [cache.peek("child", round=n).value for n in range(20)] == list(range(20))
cache.close()
say(json.dumps(failures))
"""

FORKS_IN_A_ROW = """
cache = LLMCache(directory)
stop = threading.Event()
failures = []
def work(name):
    n = 0
    while not stop.is_set():
        n += 1
        try:
            assert cache.get_or_generate_sync(name, lambda: n, n=n) == n
        except BaseException as error:
            failures.append(repr(error))
threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(4)]
for thread in threads: thread.start()
for round in range(20):
    pids = []
    for _ in range(8):  # one after the other, as a server starts its workers
        pid = os.fork()
        if pid == 0: os._exit(0)
        pids.append(pid)
    for pid in pids: os.waitpid(pid, 0)
stop.set()
for thread in threads: thread.join(20)
cache.close()
say(json.dumps(failures))
"""


@pytest.mark.slow
def test_forks_in_a_row_are_no_trouble_of_a_look_up(start):
    """Each of them closes the file, and opening it again is what meets the next one."""
    forking = start(FORKS_IN_A_ROW)
    said = forking.says()
    assert forking.ends() == (0, "")
    assert said == "[]"


@pytest.mark.slow
def test_the_children_of_an_open_parent_lose_nothing(start):
    """A prefork server: 4 children and their parent write at once."""
    server = start(PREFORK)
    assert server.says() == "[0, 0, 0, 0]"
    assert server.ends() == (0, "")


@pytest.mark.slow
def test_a_pool_of_forked_processes_generates_each_value_once(start):
    """`multiprocessing` with fork: 200 calls on 20 keys, 20 generations."""
    pool = start(MULTIPROCESSING)
    assert pool.says() == "20 20"
    assert pool.ends() == (0, "")


@pytest.mark.slow
def test_forking_while_threads_are_at_it_hangs_nobody(start):
    """20 forks beside 4 threads that read and write: no failure in the parent or a child."""
    busy = start(BUSY)
    said = busy.says()
    assert busy.ends() == (0, "")
    assert said == "[]"
