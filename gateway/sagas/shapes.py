"""Whether a type can be journalled, and whether it holds secrets: told when the class is built, not when the first saga runs.

Invariant: what passes here comes back from JSON as it was written (see docs/guides/writing-a-saga.md for what that means by type).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect as shape

from ..secret import Secret

_KEYS = (
    shape.StrType,
    shape.IntType,
    shape.EnumType,
    shape.LiteralType,
    shape.DateType,
    shape.DateTimeType,
    shape.UUIDType,
    shape.DecimalType,
)
"""What becomes text, and that same value again, as the key of a JSON object."""


def check_journallable(into: Any) -> None:
    """Raises: TypeError that says what in `into` JSON cannot hold."""
    msgspec.json.Decoder(into)
    for each in _all_of(into):
        match each:
            case shape.CustomType() if each.cls is not Secret:
                raise TypeError(f"{each.cls.__name__} has no form in JSON")
            case shape.DictType() if not _is_key(each.key_type):
                raise TypeError("a dict's keys must be texts, whole numbers, enums, dates, UUIDs or Decimals")
            case shape.SetType() | shape.FrozenSetType() if _is_secret(each.item_type):
                raise TypeError("secrets in a set have no place of their own")
            case _:
                pass


def holds_secrets(into: Any) -> bool:
    """Whether a value of `into` may have a Secret in it. `Any` is taken at its word: it holds plain values."""
    return any(_is_secret(each) for each in _all_of(into))


def _is_secret(each: shape.Type) -> bool:
    return isinstance(each, shape.CustomType) and each.cls is Secret


def _is_key(key: shape.Type) -> bool:
    plain = key.type if isinstance(key, shape.Metadata) else key
    if isinstance(plain, shape.UnionType):
        return False  # "1" may have been either
    return isinstance(plain, _KEYS)


def _all_of(into: Any) -> Iterator[shape.Type]:
    """Every shape in `into`, each once: types may name themselves."""
    seen: set[int] = set()
    waiting: list[shape.Type] = [shape.type_info(into)]
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting.extend(_parts(each))


def _parts(whole: shape.Type) -> Iterator[shape.Type]:
    for name in whole.__struct_fields__:
        value = getattr(whole, name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, shape.Type):
                yield part
            elif isinstance(part, shape.Field):
                yield part.type
