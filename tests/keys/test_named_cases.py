"""Every case that the specification of keys names, each by itself."""

import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import runpy
import subprocess
import sys
import types
import uuid
import zoneinfo

import pytest
from golden_inputs import Access, Color, Count, Grade, Level, Mode, Point, Ratio, Topic, Word

from llm_cache.core.keys import Identity, canonical_params


def canonical(value) -> bytes:
    """The canonical JSON of `value` as the one param `p`."""
    return canonical_params({"p": value})


def key(**params) -> bytes:
    """The key of a request with these params."""
    return Identity("intro_page", canonical_params(params)).key


def test_scalars_that_python_or_json_confuse_are_all_different():
    """1, 1.0, True, "1", None and "null" and their like are as many keys."""
    values = [1, 1.0, True, "1", "1.0", "True", "true", None, "null", "None"]
    values += [0, 0.0, -0.0, False, "0", "", "-0.0", [], {}, [None], b"", b"1"]
    assert len({key(p=value) for value in values}) == len(values)
    assert len({key(p=[value]) for value in values}) == len(values)


def test_the_sign_of_zero_counts():
    """0.0 and -0.0 are equal to Python and different in a key."""
    assert canonical(0.0) == b'{"p":0.0}'
    assert canonical(-0.0) == b'{"p":-0.0}'


def test_a_list_equals_a_tuple():
    """A list and a tuple of the same items are one key: TOML knows lists alone."""
    assert key(p=[1, [2, "3"]]) == key(p=(1, (2, "3"))) == key(p=[1, (2, "3")])


def test_the_order_in_a_list_counts():
    """Two lists in another order are two keys."""
    assert key(p=[1, 2]) != key(p=[2, 1])


def test_the_order_in_a_dict_never_matters():
    """Dicts in another order, at any depth, are one key."""
    one = {"a": 1, "b": {"c": [{"x": 1, "y": 2}], "d": 4}}
    other = {"b": {"d": 4, "c": [{"y": 2, "x": 1}]}, "a": 1}
    assert canonical(one) == canonical(other)
    assert canonical_params(one) == canonical_params(other)


def test_where_one_value_ends_counts():
    """The same text divided otherwise, among names, values or params, is another key."""
    one = key(a="x", b="y")
    assert one != key(a="x,b:y")
    assert one != key(a='x","b":"y')
    assert one != key(b="x", a="y")
    assert key(p=["ab", "c"]) != key(p=["a", "bc"])


def test_a_missing_param_is_not_none():
    """A param left out and one that is None are two keys."""
    assert key() != key(p=None)


@pytest.mark.parametrize("exponent", [53, 62, 63, 64, 65, 128, 1000])
def test_ints_of_any_size_keep_every_digit(exponent):
    """Ints around every limit of a number format are different from their neighbours and floats."""
    near = [sign * 2**exponent + step for sign in (1, -1) for step in (-1, 0, 1)]
    keys = {key(p=number) for number in near} | {key(p=str(number)) for number in near}
    assert len(keys) == 2 * len(near)
    assert key(p=float(2**exponent)) not in keys


def test_ints_of_5000_digits_have_a_key():
    """An int that Python itself refuses to print in decimal is a param as any other."""
    assert key(p=10**5000) == key(p=10**5000)
    assert len({key(p=10**5000), key(p=10**5000 + 1), key(p=-(10**5000)), key(p=[10**5000])}) == 4


def test_a_date_is_not_its_text():
    """Dates, times and spans are different from each other and from what they look like."""
    day = dt.date(2026, 11, 22)
    values = [day, day.isoformat(), dt.datetime(2026, 11, 22), "2026-11-22T00:00:00"]  # noqa: DTZ001
    values += [dt.time(0), "00:00:00", dt.timedelta(0), "0:00:00", 0]
    assert len({key(p=value) for value in values}) == len(values)


def test_the_zone_of_a_datetime_counts():
    """The same instant with another offset or another zone is another value."""
    hour = dt.timezone(dt.timedelta(hours=1))
    noon = dt.datetime(2026, 1, 1, 12)  # noqa: DTZ001
    values = [noon, noon.replace(tzinfo=dt.UTC), noon.replace(hour=13, tzinfo=hour)]
    values += [noon.replace(tzinfo=hour)]
    assert len({key(p=value) for value in values}) == 4


def test_zones_with_one_offset_are_different():
    """Two zones that agree today do not agree for ever, so they are two keys."""
    noon = dt.datetime(2026, 1, 1, 12)  # noqa: DTZ001
    try:
        zones = [zoneinfo.ZoneInfo("Europe/Berlin"), zoneinfo.ZoneInfo("Africa/Lagos")]
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("this machine has no tz database")
    assert len({key(p=noon.replace(tzinfo=zone)) for zone in zones}) == 2


def test_the_fold_of_a_datetime_counts():
    """The second of two equal clock times, when clocks go back, is another value."""
    first = dt.datetime(2026, 10, 25, 2, 30)  # noqa: DTZ001
    assert key(p=first) != key(p=first.replace(fold=1))
    assert key(p=first.time()) != key(p=first.time().replace(fold=1))


def test_bytes_are_no_str():
    """Bytes, a bytearray and their texts are different."""
    values = [b"ab", bytearray(b"ab"), "ab", "YWI=", "b'ab'", [97, 98]]
    assert len({key(p=value) for value in values}) == len(values)


def test_decimals_keep_their_places():
    """Decimal 1 and 1.0 print differently, so they are different; neither is a number or a str."""
    values = [decimal.Decimal(1), decimal.Decimal("1.0"), 1, 1.0, "1", "1.0"]
    assert len({key(p=value) for value in values}) == len(values)


def test_a_decimal_does_not_depend_on_the_context_of_the_thread():
    """Whoever changes the decimal context gets the same key."""
    big = decimal.Decimal("1.5E+20")
    usual = key(p=big)
    with decimal.localcontext(prec=1, capitals=0):
        assert key(p=big) == usual


def test_a_uuid_is_not_its_text():
    """A UUID is different from its str, and equal to itself however it was written."""
    one = uuid.UUID("12345678123456781234567812345678")
    assert key(p=one) == key(p=uuid.UUID("{12345678-1234-5678-1234-567812345678}"))
    assert len({key(p=one), key(p=str(one)), key(p=one.int), key(p=one.bytes)}) == 4


def test_paths_are_no_strs():
    """A path is different from its text; the kind of path counts."""
    values = [pathlib.PurePosixPath("a"), pathlib.PureWindowsPath("a"), "a"]
    assert len({key(p=value) for value in values}) == 3


def test_enum_members_are_not_their_values():
    """A member of any enum differs from its value, its name and its str."""
    for member in (Color.RED, Level.HARD, Mode.SHORT, Access.READ | Access.WRITE):
        others = {key(p=other) for other in (member.value, member.name, str(member))}
        assert key(p=member) not in others


def test_enums_of_different_names_are_different():
    """The class of a member counts, and its name, not only its value."""
    level = enum.IntEnum("Level", {"HARD": 3, "EASY": 1})
    stage = enum.IntEnum("Stage", {"HARD": 3})
    renamed = enum.IntEnum("Level", {"TOUGH": 3})
    assert key(p=level.HARD) == key(p=Level.HARD)
    assert len({key(p=m) for m in (level.HARD, level.EASY, stage.HARD, renamed.TOUGH)}) == 4


def test_subclasses_of_scalars_are_not_their_base():
    """A str, int or float of a class of its own differs from the plain one."""
    for kin, plain in ((Word("a"), "a"), (Count(1), 1), (Ratio(0.5), 0.5)):
        assert key(p=kin) != key(p=plain)
        assert key(p=kin) == key(p=type(kin)(plain))


def test_a_str_subclass_cannot_choose_its_key():
    """What a subclass says in `__str__` is not asked: the characters count."""
    loud = type("Loud", (str,), {"__slots__": (), "__str__": lambda self: "always the same"})
    assert key(p=loud("a")) != key(p=loud("b"))


def test_a_dataclass_is_not_its_dict():
    """The class and every field of a dataclass count."""
    values = [Grade(5), Grade(6), Grade(5, "other"), {"level": 5, "name": "fifth"}, [5, "fifth"]]
    values += [Point(5, 1.0), {"x": 5, "y": 1.0}, [5, 1.0]]
    assert len({key(p=value) for value in values}) == len(values)
    assert key(p=Grade(5)) == key(p=Grade(level=5, name="fifth"))


def test_a_model_is_not_its_dict():
    """The class and every field of a pydantic model count, alone and in a list."""
    values = [Topic(title="a"), Topic(title="a", minutes=1), {"title": "a", "minutes": 45}]
    assert len({key(p=value) for value in values}) == 3
    assert len({key(p=[value]) for value in values}) == 3
    assert key(p=[Topic(title="a")]) == key(p=[Topic(title="a", minutes=45)])


APP = """
import dataclasses, enum
import pydantic

@dataclasses.dataclass
class Grade:
    level: int

class Subject(enum.Enum):
    MATH = "math"

class Topic(pydantic.BaseModel):
    title: str

params = {"g": Grade(5), "s": Subject.MATH, "t": [Topic(title="a"), Topic(title="b")]}

if __name__ == "__main__":
    from llm_cache.core.keys import canonical_params
    print(canonical_params(params).decode())
"""


def test_a_class_agrees_with_itself_under_main(tmp_path):
    """Classes of a script that is run, and of the same file imported as a module, give one key."""
    script = tmp_path / "app.py"
    script.write_text(APP)
    imported = runpy.run_path(str(script), run_name="app")
    run = subprocess.run(
        [sys.executable, str(script)],
        env={"PYTHONPATH": str(pathlib.Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr == ""
    assert run.stdout.strip().encode() == canonical_params(imported["params"])


def test_unicode_is_not_normalised():
    """The composed and the decomposed form of one letter are two texts: values, names and all."""
    nfc, nfd = "\u00e9", "e\u0301"
    assert key(p=nfc) != key(p=nfd)
    assert key(p={nfc: 1}) != key(p={nfd: 1})
    assert canonical_params({nfc: 1, nfd: 2}) != canonical_params({nfc: 2, nfd: 1})


def test_params_may_be_called_like_our_own_arguments():
    """`prefix`, `generator`, `ttl`, `policy`, `params` and `self` are names as any others."""
    names = ["prefix", "generator", "ttl", "policy", "params", "self", "cls", "key", "version"]
    alone = {canonical_params({name: "x"}) for name in names}
    assert alone == {b'{"%s":"x"}' % name.encode() for name in names}


@pytest.mark.parametrize(
    ("value", "look_alike"),
    [
        (dt.date(2026, 11, 22), {"$date": "2026-11-22"}),
        (Color.RED, {"$enum:Color": ["RED", 1]}),
        (2**64, {"$int": "10000000000000000"}),
        (b"ab", {"$bytes": "YWI="}),
        (Grade(5), {"$dataclass:Grade": {"level": 5, "name": "fifth"}}),
        ({"$date": 1}, {"$$date": 1}),
        ({"$": 1}, {"$$": 1}),
    ],
    ids=["date", "enum", "int", "bytes", "dataclass", "escaped", "dollar"],
)
def test_no_dict_is_taken_for_a_tagged_value(value, look_alike):
    """A dict with the very names of a tag differs from what the tag stands for."""
    doubled = {f"${name}": item for name, item in look_alike.items()}
    assert len({key(p=v) for v in (value, look_alike, doubled)}) == 3


def test_param_names_that_begin_with_a_dollar_are_kept_apart():
    """Params called `$date` and `$$date` are two, and neither is a tag."""
    assert len({key(**{name: "x"}) for name in ("date", "$date", "$$date", "$", "$$")}) == 5


def test_any_mapping_of_params_has_the_key_of_its_dict():
    """Params may come in any mapping."""
    for params in ({"b": 1, "a": "x", "c": None}, {"$": True}, {"big": 2**63}, {}):
        assert canonical_params(types.MappingProxyType(params)) == canonical_params(params)


def test_fields_that_do_not_compare_count_too():
    """A field of a dataclass counts, whatever `compare` and `repr` say of it."""

    @dataclasses.dataclass
    class Hidden:
        text: str = dataclasses.field(compare=False, repr=False)

    assert key(p=Hidden("a")) != key(p=Hidden("b"))
