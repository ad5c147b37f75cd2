"""`Secret[str]`: a value that a saga needs and nobody else may read: a payment token, a password for once.

Invariants: it is shown as `Secret(***)` wherever it is printed, and only `reveal` gives it out. In the journal it is sealed under a
key of its saga (`sagas/vault.py`), which is destroyed when the saga ends; then the secret is gone, and `reveal` says so.
"""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar, cast, final, get_args, get_origin

import msgspec

T = TypeVar("T")

_GONE: Final[Any] = object()


class SecretGone(LookupError):
    """The saga has ended, and its key is destroyed; or whoever reads has no key."""


@final
class Secret(Generic[T]):
    """Wraps a value. Equal to a secret of the same value; two that are gone are equal."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    @classmethod
    def gone(cls) -> Secret[T]:
        """One whose value nobody can read any more."""
        return cls(cast("T", _GONE))

    def reveal(self) -> T:
        """The value, for the call that needs it. Raises: SecretGone in `result`, and wherever the saga has ended."""
        if self._value is _GONE:
            raise SecretGone("this secret is gone: it can be read by steps, undos and lookups, until the saga ends")
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and bool(self._value == other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not pickled: reveal it where it is needed")


def is_secret(kind: Any) -> bool:
    """Whether an annotation is a Secret, of whatever."""
    return kind is Secret or get_origin(kind) is Secret


def secret_of(kind: Any, stored: Any) -> Secret[Any]:
    """A decoding hook of msgspec's: where a type says `Secret[T]`, JSON has a T. Raises: msgspec.ValidationError unless it has."""
    if not is_secret(kind):
        raise TypeError(f"a {kind} cannot be read from JSON")
    (inner,) = get_args(kind) or (Any,)
    return Secret(msgspec.convert(stored, inner))
