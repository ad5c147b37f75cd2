"""JSON that clients send: what could be read in two ways, or costs more to look at than to send, is refused.

Invariants: a name stands once in an object; no number is infinite or none at all; text is UTF-8; values are at most `MAX_NESTING`
deep and `MAX_VALUES` many, so that whatever walks through them later may recurse. Integers of more than 64 bits are read as the
nearest float, which no Int takes. Source: RFC 8259 sections 4, 6 and 8.1; RFC 7493 (I-JSON) section 2.3.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import orjson

from ..errors import RequestError

MAX_NESTING = 50
"""Objects and lists within one another. 50: inputs are under ten deep, whatever a JSON scalar holds under twenty."""
MAX_VALUES = 10_000
"""Values, names of members not counted. 10 000: a thousand lines of ten; reading them costs 2 µs each, coercing them 3 µs."""


_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


class _Twice(ValueError):
    """The name of the member."""


def read_json(text: bytes, *, what: str) -> Any:
    """Its value. Raises: RequestError that begins with `what`. Cost: some 15 µs more than orjson for a usual body."""
    marks = _marks(text)
    if marks > MAX_NESTING:  # else it cannot be deep, nor large
        marks = _marks(_STRING.sub(b"", text))
    if marks > MAX_VALUES:
        raise RequestError(f"{what} has more than {MAX_VALUES} values: send them in several requests")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"{what} is not JSON: {error.msg} at position {error.pos}") from error
    if marks > MAX_NESTING and _is_deep(value):
        raise RequestError(f"{what} is more than {MAX_NESTING} objects and lists deep: send it flatter")
    try:
        _MEMBERS.decode(text.decode())
    except _Twice as error:
        raise RequestError(f"{what} has the member {str(error)[:64]!r} twice in one object: send it once") from None
    return value


def _marks(text: bytes) -> int:
    """Each value but the first comes after one of them."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _is_deep(value: Any) -> bool:
    level: list[Any] = [value]
    for _ in range(MAX_NESTING + 1):
        level = [inner for each in level for inner in _within(each)]
    return bool(level)


def _within(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _members(pairs: list[tuple[str, Any]]) -> None:
    """The standard library tells of every member, orjson of the last one of a name."""
    if len(dict(pairs)) == len(pairs):
        return
    seen = set[str]()
    for name, _ in pairs:
        if name in seen:
            raise _Twice(name)
        seen.add(name)


def _nothing(_: str) -> None:
    """No number is made of it a second time: thousands of digits would take long."""


_MEMBERS = json.JSONDecoder(object_pairs_hook=_members, parse_int=_nothing, parse_float=_nothing)
