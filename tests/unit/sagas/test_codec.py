"""What is journalled comes back as what was written."""

import enum
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
import strawberry

from gateway.sagas import Codec


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Line:
    sku: str
    price: Decimal
    colour: Colour = Colour.RED


@dataclass
class Cart:
    at: datetime
    id: UUID
    lines: list[Line] = field(default_factory=list[Line])
    note: str | None = None


class Point(msgspec.Struct):
    x: int
    y: tuple[int, ...] = ()


@strawberry.input
class Patch:
    name: str
    note: str | None = strawberry.UNSET
    tags: list[str] | None = strawberry.UNSET


@pytest.mark.parametrize(
    ("value", "into"),
    [
        (Cart(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), UUID(int=7), [Line("a", Decimal("1.10"))]), Cart),
        (Point(1, (2, 3)), Point),
        (None, type(None)),
        ({"a": [1, None]}, dict[str, list[int | None]]),
    ],
)
@pytest.mark.parametrize("codec", [Codec(), Codec(unset=[strawberry.UNSET])], ids=["plain", "with unset"])
def test_a_value_comes_back_equal(codec: Codec, value: object, into: Any) -> None:
    assert codec.decode(codec.encode(value), into) == value


def test_a_field_that_was_not_provided_is_left_out_and_comes_back_as_not_provided() -> None:
    codec = Codec(unset=[strawberry.UNSET])
    stored = codec.encode(Patch(name="a", tags=None))
    assert stored == b'{"name":"a","tags":null}'
    back = codec.decode(stored, Patch)
    assert back.note is strawberry.UNSET
    assert back.tags is None


def test_unset_deep_inside_is_left_out_too() -> None:
    codec = Codec(unset=[strawberry.UNSET])
    assert codec.encode([{"patches": [Patch(name="a")]}]) == b'[{"patches":[{"name":"a"}]}]'


@pytest.mark.parametrize("codec", [Codec(), Codec(unset=[strawberry.UNSET])], ids=["plain", "with unset"])
def test_what_json_cannot_hold_is_refused(codec: Codec) -> None:
    with pytest.raises(TypeError):
        codec.encode(object())
