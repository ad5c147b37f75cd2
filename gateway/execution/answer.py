"""The answer while it is made: an object of it is a record of its selection's own class, whose members go by the client's names.

Such a record costs a quarter of a dictionary to make, is looked at by no collector of garbage, and is written as JSON without a
walk in Python. Invariant: members stand in the order of the selection. A name of the client's is a member's name in JSON and
nothing else: no source is generated from it, and msgspec refuses one that would have to be escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any

import msgspec
import orjson

Write = Callable[..., list[Any]]
"""(how many, column, column, ...) -> an object for each row."""


class Unwritable(TypeError):
    """Something in an answer is nothing that JSON could say."""


def members_of(names: Sequence[str]) -> dict[str, str]:
    """Under which attribute of its record each member is found."""
    return {name: f"m{place}" for place, name in enumerate(names)}


def writer(names: Sequence[str], *, constants: Mapping[str, str | None]) -> Write:
    """Writes objects with members `names` in that order: those in `constants` as they stand there, the others from a column.

    Raises: ValueError for a name that is none of GraphQL's.
    """
    kind = record_of(names)
    order = [_Constant(constants[name]) if name in constants else None for name in names]

    def write(count: int, *columns: Sequence[Any]) -> list[Any]:
        if not order:
            return [kind() for _ in range(count)]
        given = iter(columns)
        return list(map(kind, *[next(given) if each is None else repeat(each.value, count) for each in order]))

    return write


def record_of(names: Sequence[str]) -> type[msgspec.Struct]:
    """The class of an answer's objects with these members. Answers are trees, so the collector need not look at them."""
    columns = [(attribute, Any, msgspec.field(name=name)) for name, attribute in members_of(names).items()]
    return msgspec.defstruct("Answer", columns, gc=False)


class _Constant:
    __slots__ = ("value",)

    def __init__(self, value: str | None) -> None:
        self.value = value


def plain(value: Any) -> Any:
    """The same in dictionaries and lists."""
    if isinstance(value, msgspec.Struct):
        return {each.encode_name: plain(getattr(value, each.name)) for each in msgspec.structs.fields(value)}
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def encoded(value: Any) -> bytes:
    """As JSON. Raises: Unwritable."""
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise Unwritable(str(error)) from error


def _by_others(value: Any) -> Any:
    """What msgspec does not know: subclasses of JSON's own types among it. Raises: TypeError."""
    return msgspec.Raw(orjson.dumps(value))


_ENCODER = msgspec.json.Encoder(enc_hook=_by_others)
