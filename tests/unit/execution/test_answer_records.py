"""Objects of an answer as records: what their members are called, how they are written, and what JSON cannot hold."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gateway.execution.answer import Unwritable, encoded, members_of, plain, writer

from .hostile import HOSTILE


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_text_whatever_it_says_or_refused_where_json_would_have_to_escape_it(name: str) -> None:
    """None of GraphQL's has to be escaped."""
    if json.dumps(name, ensure_ascii=False) != f'"{name}"':
        with pytest.raises(ValueError, match="must not contain"):
            writer([name], constants={})
        return
    written = [*writer([name, "x"], constants={})(1, [1], [2]), *writer(["x", name], constants={name: name})(1, [2])]
    assert json.loads(encoded(written)) == plain(written) == [{name: 1, "x": 2}, {"x": 2, name: name}]


def test_members_stand_in_the_order_that_was_asked_for_constants_among_them() -> None:
    write = writer(["z", "a", "m"], constants={"a": None})
    assert [list(row.items()) for row in plain(write(2, [1, 2], [3, 4]))] == [
        [("z", 1), ("a", None), ("m", 3)],
        [("z", 2), ("a", None), ("m", 4)],
    ]


def test_a_member_that_is_known_later_is_put_where_its_name_stands() -> None:
    names = ["first", "later"]
    (row,) = writer(names, constants={"later": None})(1, ["a"])
    setattr(row, members_of(names)["later"], [1])
    assert encoded(row) == b'{"first":"a","later":[1]}'


def test_objects_without_any_column_are_still_written_one_for_each() -> None:
    assert plain(writer([], constants={})(2)) == [{}, {}]
    assert plain(writer(["t"], constants={"t": "T"})(2)) == [{"t": "T"}, {"t": "T"}]
    assert writer(["t"], constants={"t": None})(0) == []


class Shout(str):
    """Some author's own text."""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Shout("hey"), b'"hey"'),
        ({"a": [1, None, True, 0.5]}, b'{"a":[1,null,true,0.5]}'),
        (float("nan"), b"null"),
        (Decimal("1.50"), b'"1.50"'),
        (2**70, b"1180591620717411303424"),
    ],
    ids=repr,
)
def test_leaves_are_written_as_json_says_them(value: object, text: bytes) -> None:
    (row,) = writer(["it"], constants={})(1, [value])
    assert encoded(row) == b'{"it":' + text + b"}"


def _endless() -> list[Any]:
    inside: list[Any] = []
    inside.append(inside)
    return inside


@pytest.mark.parametrize("value", [object(), "\ud800", _endless()], ids=["object", "half a character", "endless"])
def test_what_json_cannot_hold_is_said_so(value: object) -> None:
    with pytest.raises(Unwritable):
        encoded(writer(["it"], constants={})(1, [value]))


def test_the_collector_of_garbage_does_not_look_at_records() -> None:
    (row,) = writer(["it"], constants={})(1, [[]])
    assert row.__struct_config__.gc is False
    assert isinstance(row, msgspec.Struct)
