"""The public keys of an issuer, read from a JWKS. Pure.

Invariants: a key is used for the algorithms that its type, its curve, its own `alg` and the issuer's settings all allow, and for no
other; of a key's entry only its public numbers are read; one that is weak, private, for encryption, or symmetric is left out, and
the others stand.
Source: RFC 7517 (JWK), RFC 7518 (JWA).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, cast

import msgspec
from jwt import PyJWK, PyJWTError
from jwt.algorithms import Algorithm

from .issuer import ALGORITHMS

MAX_KEYS = 100
"""Of one issuer: several generations for every algorithm that there is. What is beyond is left out."""

SHORTEST_RSA, LONGEST_RSA = 2048, 8192
"""Bits: below, a key can be broken; above, looking at a forged token costs more than it should."""

_NUMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
"""What makes a public key of each type."""

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class KeysUnreadable(Exception):
    """What came is no JWKS."""


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A public key. `material`: what two keys have in common that are the same."""

    kid: str | None
    material: bytes = field(repr=False)
    _verifiers: Mapping[str, Algorithm] = field(repr=False)
    _public: Any = field(repr=False)

    @property
    def algorithms(self) -> tuple[str, ...]:
        return tuple(self._verifiers)

    def verify(self, message: bytes, signature: bytes, *, algorithm: str) -> bool:
        """Cost: 0.19 (RSA 2048) to 0.34 (P-256) of what a page costs, by `python -m benchmarks.attacks tokens`: a token that a
        stranger has signed, less one of a key that nobody has."""
        verifier = self._verifiers.get(algorithm)
        return verifier is not None and verifier.verify(message, self._public, signature)


@dataclass(frozen=True, slots=True)
class Keys:
    """Those that an issuer lists at one time."""

    found: tuple[Key, ...] = ()
    left_out: int = 0

    def named(self, kid: str | None, algorithm: str) -> Key | None:
        """The key that a token's header means. A token without `kid` means the only one that there is for its algorithm."""
        fitting = [each for each in self.found if algorithm in each.algorithms and (kid is None or each.kid == kid)]
        return fitting[0] if len(fitting) == 1 else None

    def since(self, earlier: Keys) -> Keys:
        """The same keys; those that stood in `earlier` are the same objects still."""
        known = {each.material: each for each in earlier.found}
        return Keys(tuple(known.get(each.material, each) for each in self.found), self.left_out)


def keys_of(body: bytes, *, algorithms: Sequence[str]) -> Keys:
    """The usable keys of a JWKS. Raises: KeysUnreadable for what is none."""
    try:
        listed: Any = msgspec.json.decode(body)["keys"]
    except (*_UNREADABLE, LookupError, TypeError) as error:
        raise KeysUnreadable("what came is no JWKS") from error
    if not isinstance(listed, list):
        raise KeysUnreadable("`keys` is no list")
    entries = cast("list[object]", listed)
    found = [key for each in entries[:MAX_KEYS] if (key := _key(each, algorithms)) is not None]
    return Keys(tuple(found), len(entries) - len(found))


def _key(entry: object, algorithms: Sequence[str]) -> Key | None:
    if not isinstance(entry, dict):
        return None
    jwk = cast("dict[str, Any]", entry)
    fitting = tuple(_fitting(jwk, algorithms))
    kid = jwk.get("kid")
    if not fitting or not _is_for_verifying(jwk) or not isinstance(kid, str | None):
        return None
    numbers = {"kty": jwk["kty"], **{name: jwk.get(name) for name in _NUMBERS[jwk["kty"]]}}
    try:
        made = {name: PyJWK(numbers, name) for name in fitting}
    except (PyJWTError, ValueError, TypeError, LookupError):
        return None
    public = made[fitting[0]].key
    if not SHORTEST_RSA <= getattr(public, "key_size", SHORTEST_RSA) <= LONGEST_RSA and jwk["kty"] == "RSA":
        return None
    material = sha256(msgspec.json.encode([kid, fitting, numbers])).digest()
    return Key(kid, material, {name: each.Algorithm for name, each in made.items()}, public)


def _fitting(jwk: Mapping[str, Any], algorithms: Sequence[str]) -> Iterator[str]:
    kty, crv, own = jwk.get("kty"), jwk.get("crv"), jwk.get("alg")
    for name in algorithms:
        kind = ALGORITHMS[name]
        if kind.kty == kty and kind.crv in {None, crv} and own in {None, name}:
            yield name


def _is_for_verifying(jwk: Mapping[str, Any]) -> bool:
    """Private keys are left out: who publishes one has lost it."""
    uses = jwk.get("key_ops", ["verify"])
    return "d" not in jwk and jwk.get("use", "sig") == "sig" and isinstance(uses, list) and "verify" in uses
