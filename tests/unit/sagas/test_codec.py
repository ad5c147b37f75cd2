"""What is journalled comes back as what was written."""

import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest
import strawberry
from hypothesis import given
from hypothesis import strategies as st

from gateway import Between, input_type
from gateway import field as graph_field
from gateway.sagas import Codec, Secret, SecretGone
from gateway.sagas.codec import OPENLY, SEALED, Path

UNSET: Any = strawberry.UNSET


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


@dataclass
class Line:
    sku: str
    price: Decimal
    colour: Colour = Colour.RED


class Point(msgspec.Struct):
    x: int
    y: tuple[int, ...] = ()


class Card(msgspec.Struct, tag=True):
    number: str


class Transfer(msgspec.Struct, tag=True):
    iban: str


@strawberry.input
class Patch:
    name: str
    note: str | None = strawberry.UNSET
    tags: list[str] | None = strawberry.UNSET


@dataclass
class Everything:
    """One field for each kind of value of which docs/guides/writing-a-saga.md tells how it is written."""

    text: str
    whole: int
    counted: Annotated[int, Between(1, 9)]
    real: float
    exact: Decimal
    yes: bool
    nothing: None
    raw: bytes
    colour: Colour
    size: Size
    at: dt.datetime
    day: dt.date
    hour: dt.time
    lasts: dt.timedelta
    id: UUID
    point: Point
    pays: Card | Transfer
    patch: Patch
    lines: list[Line]
    pair: tuple[int, str]
    words: set[str]
    by_number: Mapping[int, str]
    by_day: dict[dt.date, int]
    by_colour: dict[Colour, int]
    by_id: dict[UUID, int]
    by_price: dict[Decimal, int]
    anything: Any
    deep: "Everything | None" = None
    note: str | None = None
    added_later: int = 7
    listed_later: list[int] = field(default_factory=list[int])


TEXT = st.text(max_size=20)
INTEGERS = st.integers(min_value=-(2**200), max_value=2**200)
REALS = st.floats(allow_nan=False, allow_infinity=False)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
WHEN = st.datetimes(timezones=st.just(dt.UTC)) | st.datetimes()
COLOURS = st.sampled_from(Colour)
PATCHES = st.builds(
    Patch, name=TEXT, note=st.just(UNSET) | st.none() | TEXT, tags=st.just(UNSET) | st.none() | st.lists(TEXT)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=5,
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXT,
    "whole": INTEGERS,
    "counted": INTEGERS,
    "real": REALS,
    "exact": DECIMALS,
    "yes": st.booleans(),
    "nothing": st.none(),
    "raw": st.binary(max_size=20),
    "colour": COLOURS,
    "size": st.sampled_from(Size),
    "at": WHEN,
    "day": st.dates(),
    "hour": st.times(),
    "lasts": st.timedeltas(min_value=dt.timedelta(days=-9_999), max_value=dt.timedelta(days=9_999)),
    "id": st.uuids(),
    "point": st.builds(Point, x=INTEGERS, y=st.lists(INTEGERS, max_size=3).map(tuple)),
    "pays": st.builds(Card, number=TEXT) | st.builds(Transfer, iban=TEXT),
    "patch": PATCHES,
    "lines": st.lists(st.builds(Line, sku=TEXT, price=DECIMALS, colour=COLOURS), max_size=3),
    "pair": st.tuples(INTEGERS, TEXT),
    "words": st.sets(TEXT, max_size=3),
    "by_number": st.dictionaries(st.integers(), TEXT, max_size=3),
    "by_day": st.dictionaries(st.dates(), st.integers(), max_size=3),
    "by_colour": st.dictionaries(COLOURS, st.integers(), max_size=3),
    "by_id": st.dictionaries(st.uuids(), st.integers(), max_size=3),
    "by_price": st.dictionaries(DECIMALS, st.integers(), max_size=3),
    "anything": JSON,
    "note": st.none() | TEXT,
}
EVERYTHING = st.builds(Everything, **VALUES, deep=st.none() | st.builds(Everything, **VALUES))


@given(EVERYTHING)
def test_whatever_a_saga_may_hold_comes_back_equal(value: Everything) -> None:
    codec = Codec(unset=[UNSET])
    back = codec.decode(codec.encode(value), Everything)
    assert back == value
    assert (back.patch.note is UNSET, back.patch.tags is UNSET) == (
        value.patch.note is UNSET,
        value.patch.tags is UNSET,
    )


@pytest.mark.parametrize(
    ("value", "into"),
    [
        (Line("a", Decimal("1.10")), Line),
        (Point(1, (2, 3)), Point),
        (None, type(None)),
        (2**53 + 1, int),
        (UUID(int=7), UUID),
        ({"a": [1, None]}, dict[str, list[int | None]]),
    ],
)
@pytest.mark.parametrize("codec", [Codec(), Codec(unset=[UNSET])], ids=["plain", "with unset"])
def test_a_value_comes_back_equal(codec: Codec, value: object, into: Any) -> None:
    assert codec.decode(codec.encode(value), into) == value


def test_a_field_that_was_not_provided_is_left_out_and_comes_back_as_not_provided() -> None:
    codec = Codec(unset=[UNSET])
    stored = codec.encode(Patch(name="a", tags=None))
    assert stored == b'{"name":"a","tags":null}'
    back = codec.decode(stored, Patch)
    assert back.note is UNSET
    assert back.tags is None


def test_unset_deep_inside_is_left_out_too() -> None:
    codec = Codec(unset=[UNSET])
    assert codec.encode([{"patches": [Patch(name="a")]}]) == b'[{"patches":[{"name":"a"}]}]'


def test_a_text_that_looks_like_a_mark_of_ours_is_a_text() -> None:
    codec = Codec(unset=[UNSET])
    odd = Patch(name="\x00left out\x00", note="\x00left out\x00")
    assert codec.decode(codec.encode(odd), Patch) == odd


def test_what_was_written_before_a_field_with_a_default_was_added_reads_as_the_default() -> None:
    @dataclass
    class Newer:
        sku: str
        count: int = 1
        gift: str | None = UNSET

    assert Codec(unset=[UNSET]).decode(b'{"sku":"a"}', Newer) == Newer("a", 1, UNSET)


@pytest.mark.parametrize("codec", [Codec(), Codec(unset=[UNSET])], ids=["plain", "with unset"])
def test_what_json_cannot_hold_is_refused(codec: Codec) -> None:
    with pytest.raises(TypeError):
        codec.encode(object())


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("around", [lambda x: x, lambda x: {"a": [None, x]}, lambda x: Patch(name="a", note=x)])
def test_what_is_no_number_is_refused_and_never_becomes_null(number: float, around: Any) -> None:
    with pytest.raises(ValueError, match="no number"):
        Codec(unset=[UNSET]).encode(around(number))


# -- secrets -----------------------------------------------------------------------------------------------------------


class Payer(msgspec.Struct, rename="camel"):
    card_token: Secret[str]
    others: list[Secret[str]] = []
    note: str = ""


class Envelope:
    """A place that writes down where it sealed what, and opens only there."""

    def __init__(self) -> None:
        self.sealed: dict[str, tuple[Path, object]] = {}

    def seal(self, path: Path, value: object) -> object:
        name = f"{SEALED}{len(self.sealed)}"
        self.sealed[name] = path, value
        return name

    def unseal(self, path: Path, stored: str) -> bytes:
        where, value = self.sealed[stored]
        if where != path:
            raise ValueError(f"sealed at {where}, found at {path}")
        return msgspec.json.encode(value)


PAYER = Payer(Secret("tok"), [Secret("a"), Secret("b")], note=f"{SEALED}0")


def test_a_secret_is_sealed_where_it_stands_and_comes_back() -> None:
    codec, place = Codec(unset=[UNSET]), Envelope()
    stored = codec.encode(PAYER, place=place)
    assert [path for path, _ in place.sealed.values()] == [("cardToken",), ("others", 0), ("others", 1)]
    assert b"tok" not in stored
    assert (
        codec.decode(stored.replace(b'"note":"sealed:1:0"', b'"note":"x"'), Payer, place=place).card_token.reveal()
        == "tok"
    )


def test_a_secret_that_is_moved_or_copied_to_another_field_is_refused() -> None:
    codec, place = Codec(), Envelope()
    stored = codec.encode(Payer(Secret("tok"), [Secret("a")]), place=place)
    swapped = (
        stored.replace(b"sealed:1:0", b"sealed:1:x").replace(b"sealed:1:1", b"sealed:1:0").replace(b":1:x", b":1:1")
    )
    with pytest.raises(msgspec.ValidationError, match="found at"):
        codec.decode(swapped, Payer, place=place)
    with pytest.raises(msgspec.ValidationError, match="two places"):
        codec.decode(stored.replace(b"sealed:1:1", b"sealed:1:0"), Payer, place=place)


def test_a_plain_text_that_begins_like_a_seal_is_never_opened() -> None:
    codec = Codec()
    value = Payer(Secret("tok"), note=f"{SEALED}made up")
    assert codec.decode(codec.encode(value, place=Envelope()), Payer).note == value.note


def test_a_secret_without_a_place_is_not_written() -> None:
    with pytest.raises(TypeError, match="sealed"):
        Codec().encode(PAYER)


def test_whoever_has_no_place_reads_secrets_as_gone() -> None:
    codec = Codec()
    back = codec.decode(codec.encode(Payer(Secret("tok")), place=Envelope()), Payer)
    with pytest.raises(SecretGone, match="until the saga ends"):
        back.card_token.reveal()


def test_what_was_written_before_the_field_became_a_secret_still_reads() -> None:
    assert Codec().decode(b'{"cardToken":"tok"}', Payer, place=Envelope()) == Payer(Secret("tok"))


@given(st.builds(Payer, TEXT.map(Secret), st.lists(TEXT.map(Secret)), TEXT))
def test_between_the_processes_of_one_gateway_secrets_travel_openly(value: Payer) -> None:
    codec = Codec(unset=[UNSET])
    assert codec.decode(codec.encode(value, place=OPENLY), Payer, place=OPENLY) == value


def test_a_secret_shows_nothing_of_itself() -> None:
    secret = Secret("tok")
    assert (repr(secret), f"{secret}", f"{PAYER!r}".count("'tok'")) == ("Secret(***)", "Secret(***)", 0)
    assert (secret == Secret("tok"), secret == Secret("other"), secret == "tok") == (True, False, False)
    with pytest.raises(TypeError, match="pickled"):
        __import__("pickle").dumps(secret)
    with pytest.raises(TypeError):
        msgspec.json.encode({"token": secret})


@input_type
class PayInput:
    """What is paid with."""

    token: Secret[str] = graph_field("The token.")
    spare: Secret[str] | None = graph_field("Another.", default=None)
    later: Secret[str] | None = UNSET


@given(TEXT, st.none() | TEXT, st.just(UNSET) | st.none() | TEXT)
def test_an_input_with_secrets_comes_back_with_what_was_not_provided_still_not_provided(
    token: str, spare: str | None, later: Any
) -> None:
    codec, place, value = Codec(unset=[UNSET]), Envelope(), PayInput(token=token, spare=spare, later=later)  # type: ignore[arg-type]
    back = codec.decode(codec.encode(value, place=place), PayInput, place=place)
    assert back == value
    assert back.token.reveal() == token
    assert (back.later is UNSET) == (later is UNSET)
