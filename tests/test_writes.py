"""What a function does to the variables it closes over."""

from llm_cache.functions._closure_writes import Writes, writes_of


def _closing_over():  # noqa: C901 - many functions, not a long one
    calls, counts, total, examples, stats = [], {}, 0, [], object()

    def appends(q):
        calls.append(q)

    def sets(q):
        counts[q] = counts[q + 1] = 1
        del counts[q]

    def counts_on(q):
        nonlocal total
        total += 1

    def reads(q):
        examples.append(q)
        return examples

    def measures(q):
        calls.append(q)
        return len(calls)

    def sets_attributes(q):
        stats.calls = q

    def within(q):
        return [calls.append(each) for each in q]

    def shadows(q):
        def inner():
            calls = []
            return lambda: calls.append(q)

        return inner, calls

    return appends, sets, counts_on, reads, measures, sets_attributes, within, shadows


APPENDS, SETS, COUNTS_ON, READS, MEASURES, SETS_ATTRIBUTES, WITHIN, SHADOWS = (
    writes_of(function.__code__) for function in _closing_over()
)
NONE = frozenset()


def _only(name):
    return Writes(NONE, frozenset({name}), frozenset({name}))


def test_what_is_only_written_to():
    """By a method, an item or an attribute; in a function within, too; its length may be asked."""
    assert APPENDS == WITHIN == MEASURES == _only("calls")
    assert _only("counts") == SETS
    assert _only("stats") == SETS_ATTRIBUTES


def test_what_is_assigned():
    """With `nonlocal`."""
    assert Writes(frozenset({"total"}), NONE, NONE) == COUNTS_ON


def test_what_is_read_as_well():
    """That is said."""
    assert Writes(NONE, frozenset({"examples"}), NONE) == READS


def test_another_variable_of_the_same_name():
    """That of a function within is another."""
    assert Writes(NONE, NONE, NONE) == SHADOWS
