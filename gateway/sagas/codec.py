"""How inputs, signals and step results become JSON in the journal, and come back as the types that were written.

Invariant: decode(encode(value), type(value)) == value. A field holding a declared "not provided" sentinel is left out
and comes back as its default, so a deploy that adds a defaulted field changes neither stored inputs nor their hashes. A secret is
written only as its `Place` seals it, and where it stands is part of the seal.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeVar, cast

import msgspec

from ..secret import Secret, is_secret, secret_of

T = TypeVar("T")

Path = tuple[str | int, ...]
"""Where a value stands in a JSON document: names and positions, from the outside in."""

SEALED = "sealed:1:"
"""How a sealed secret begins. A plain text that begins so is no danger: only what is a Secret by its type is ever opened."""


class Place(Protocol):
    """Where a document is kept, and by whom its secrets are sealed."""

    def seal(self, path: Path, value: object) -> object:
        """What is written in place of the secret `value`."""
        ...

    def unseal(self, path: Path, stored: str) -> bytes:
        """The JSON of a secret that stands at `path`. Raises: ValueError when it was not sealed for there."""
        ...


class _Openly:
    """Secrets as they are: between the processes of one gateway, over a socket that nobody else can open."""

    def seal(self, path: Path, value: object) -> object:
        return value

    def unseal(self, path: Path, stored: str) -> bytes:
        return msgspec.json.encode(stored)


OPENLY: Final[Place] = _Openly()


class Codec:
    """JSON by msgspec: Structs, dataclasses, enums, decimals, dates, UUIDs, containers.

    `unset` lists sentinel objects, compared by identity; an adapter names its own (strawberry's UNSET).
    """

    def __init__(self, *, unset: Sequence[object] = ()) -> None:
        self._unset = tuple(unset)

    def encode(self, value: object, *, place: Place | None = None) -> bytes:
        """Raises: TypeError for a value that JSON cannot hold, or a secret without a place; ValueError for NaN and infinities."""
        marks = _Marks(self._unset)
        data = msgspec.json.encode(value, enc_hook=marks)
        if marks.seen:
            marks = _Marks(self._unset)
            plain = msgspec.to_builtins(value, str_keys=True, enc_hook=marks)
            data = msgspec.json.encode(marks.written(plain, place))
        if b"null" in data:  # how msgspec writes what is no number
            _refuse_infinite(msgspec.to_builtins(value, str_keys=True, enc_hook=lambda _: None))
        return data

    def decode(self, data: bytes | msgspec.Raw, into: type[T], *, place: Place | None = None) -> T:
        """Without a `place`, sealed secrets come back as gone. Raises: msgspec.ValidationError when the bytes do not fit `into`."""
        return msgspec.json.decode(data, type=into, dec_hook=_Opening(data, place))


class _Marks:
    """An encoding hook that marks what JSON has no word for, and then puts in what is to be written.

    Marks are random: no text of a client's is taken for one.
    """

    def __init__(self, unset: tuple[object, ...]) -> None:
        self._unset = unset
        self._prefix = ""
        self._secrets: dict[str, object] = {}
        self._omit = ""
        self.seen = False

    def __call__(self, value: object) -> str:
        if not self.seen:
            self.seen = True
            self._prefix = secrets.token_hex(16)
            self._omit = f"{self._prefix} left out"
        if isinstance(value, Secret):
            mark = f"{self._prefix} {len(self._secrets)}"
            self._secrets[mark] = cast("Secret[object]", value).reveal()
            return mark
        if not any(value is sentinel for sentinel in self._unset):
            raise TypeError(f"a value of type {type(value).__name__} cannot be journalled as JSON")
        return self._omit

    def written(self, plain: Any, place: Place | None, path: Path = ()) -> Any:
        """`plain` with its marks replaced: what is not provided is left out, secrets are as `place` seals them."""
        if isinstance(plain, dict):
            fields = cast("dict[str, Any]", plain)
            kept = {name: inner for name, inner in fields.items() if inner != self._omit}
            return {name: self.written(inner, place, (*path, name)) for name, inner in kept.items()}
        if isinstance(plain, list | tuple):
            items = [inner for inner in cast("list[Any]", plain) if inner != self._omit]
            return [self.written(inner, place, (*path, index)) for index, inner in enumerate(items)]
        if isinstance(plain, str) and plain in self._secrets:
            if place is None:
                raise TypeError("a secret is written only where it can be sealed; here it cannot")
            return place.seal(path, self._secrets[plain])
        return plain


class _Opening:
    """A decoding hook that makes secrets of what stands where a type says Secret."""

    def __init__(self, data: bytes | msgspec.Raw, place: Place | None) -> None:
        self._data = data
        self._place = place
        self._paths: dict[str, list[Path]] | None = None

    def __call__(self, kind: Any, stored: Any) -> Any:
        if self._place is OPENLY or not is_secret(kind) or not _is_sealed(stored):
            return secret_of(kind, stored)  # in the journal: written before the field became a secret
        if self._place is None:
            return Secret[Any].gone()
        return secret_of(kind, msgspec.json.decode(self._place.unseal(self._path_of(stored), stored)))

    def _path_of(self, stored: str) -> Path:
        """Hooks are not told where they are; but no two seals are alike, so a seal that stands once stands here."""
        if self._paths is None:
            self._paths = {}
            _find_sealed(msgspec.json.decode(self._data), (), self._paths)
        paths = self._paths[stored]
        if len(paths) > 1:
            raise ValueError("one sealed secret stands in two places")
        return paths[0]


def _is_sealed(stored: object) -> bool:
    return isinstance(stored, str) and stored.startswith(SEALED)


def redacted(plain: Any) -> Any:
    """A journalled document for people: what is sealed reads as that, and nobody is tempted to copy a seal."""
    if isinstance(plain, dict):
        return {name: redacted(inner) for name, inner in cast("dict[str, Any]", plain).items()}
    if isinstance(plain, list):
        return [redacted(inner) for inner in plain]
    return "(secret)" if _is_sealed(plain) else plain


def _find_sealed(plain: Any, path: Path, found: dict[str, list[Path]]) -> None:
    if isinstance(plain, dict):
        for name, inner in cast("dict[str, Any]", plain).items():
            _find_sealed(inner, (*path, name), found)
    elif isinstance(plain, list):
        for index, inner in enumerate(plain):
            _find_sealed(inner, (*path, index), found)
    elif _is_sealed(plain):
        found.setdefault(plain, []).append(path)


def _refuse_infinite(plain: Any) -> None:
    """JSON has no word for NaN and infinities, and null would be read as something else."""
    if isinstance(plain, dict):
        for inner in cast("dict[str, Any]", plain).values():
            _refuse_infinite(inner)
    elif isinstance(plain, list | tuple):
        for inner in cast("list[Any]", plain):
            _refuse_infinite(inner)
    elif isinstance(plain, float) and not math.isfinite(plain):
        raise ValueError(f"{plain} is no number that can be journalled")
