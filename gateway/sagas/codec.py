"""How inputs and step results become JSON in the journal, and come back as the types that were written.

Invariant: decode(encode(value), type(value)) == value. A field holding a declared "not provided" sentinel is left out
and comes back as its default, so a deploy that adds a defaulted field changes neither stored inputs nor their hashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_OMIT = "\x00left out\x00"


class Codec:
    """JSON by msgspec: Structs, dataclasses, enums, decimals, dates, UUIDs, containers.

    `unset` lists sentinel objects, compared by identity; an adapter names its own (strawberry's UNSET).
    """

    def __init__(self, *, unset: Sequence[object] = ()) -> None:
        self._unset = tuple(unset)

    def encode(self, value: object) -> bytes:
        """Raises: TypeError for a value that JSON cannot hold, naming its type."""
        if not self._unset:
            return msgspec.json.encode(value)
        omitted = _Omitted(self._unset)
        plain = msgspec.to_builtins(value, enc_hook=omitted)
        return msgspec.json.encode(_without_omitted(plain) if omitted.seen else plain)

    def decode(self, data: bytes | msgspec.Raw, into: type[T]) -> T:
        """Raises: msgspec.ValidationError when the bytes do not fit `into`."""
        return msgspec.json.decode(data, type=into)


class _Omitted:
    """An encoding hook that marks sentinels, and says whether it saw any."""

    def __init__(self, unset: tuple[object, ...]) -> None:
        self._unset = unset
        self.seen = False

    def __call__(self, value: object) -> str:
        if not any(value is sentinel for sentinel in self._unset):
            raise TypeError(f"a value of type {type(value).__name__} cannot be journalled as JSON")
        self.seen = True
        return _OMIT


def _without_omitted(plain: Any) -> Any:
    if isinstance(plain, dict):
        return {name: _without_omitted(inner) for name, inner in plain.items() if inner != _OMIT}
    if isinstance(plain, list | tuple):
        return [_without_omitted(inner) for inner in plain if inner != _OMIT]
    return plain


def check_journallable(into: Any) -> None:
    """Raises: TypeError when no decoder can be made for `into`."""
    msgspec.json.Decoder(into)
