"""Signed tokens, judged: the text of a JWT, its issuer's rules, a key and the time in; an identity or a refusal out. No effects.

Invariants: the issuer's settings name the algorithms, and the key says which of them it is for: the token's header only picks one
of those, so neither `none` nor a public key taken for a secret comes into question; no address and no key in a header is ever
read (`jku`, `x5u`, `jwk`, `x5c`); what is not exactly one well-formed token is refused; why it was refused is for metrics and logs,
and never told to whoever sent it.
Signatures are PyJWT's. Its `decode` is not used: it asks the system for the time, and takes JSON that says a thing twice.
Source: RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (best current practices).
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn, Protocol, cast

from ...clock import Epoch
from ...identity import Identity, known
from .issuer import Issuer, Path

_LAST_SECOND = 253_402_300_799
"""Of the year 9999: no instant of a token is later."""

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)").fullmatch
_SCOPE = re.compile(r"[^\s,]+").fullmatch


class Why(StrEnum):
    """Why a token is refused: the label of a metric."""

    MALFORMED = "malformed"
    TOO_LONG = "too_long"
    UNKNOWN = "unknown"
    """No static token, and nothing that could be a JWT where JWTs are taken."""
    ISSUER = "issuer"
    ALGORITHM = "algorithm"
    HEADER = "header"
    """It asks for what is not understood here (`crit`, `b64`, a token in a token), or is of another type."""
    EXPIRED = "expired"
    EARLY = "early"
    AUDIENCE = "audience"
    KEY = "key"
    SIGNATURE = "signature"
    CLAIMS = "claims"
    """It is genuine, and does not say who its holder is, or says what this issuer may not say."""


class TokenRefused(Exception):
    """The token is not valid here. Holds nothing of it."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.value)
        self.why = why


class Verifies(Protocol):
    """What this file needs of a key."""

    def verify(self, message: bytes, signature: bytes, *, algorithm: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token says, as long as nobody has looked at its signature."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    message: bytes
    signature: bytes

    @property
    def issuer(self) -> str | None:
        found = self.claims.get("iss")
        return found if isinstance(found, str) else None

    @property
    def kid(self) -> str | None:
        """The name of the key, which is looked up in a table and used for nothing else."""
        found: str | None = self.header.get("kid")
        return found

    @property
    def algorithm(self) -> str:
        found: str = self.header["alg"]
        return found


@dataclass(frozen=True, slots=True)
class Verified:
    """Who the holder of a token is, and between which instants that holds."""

    identity: Identity
    since: Epoch
    until: Epoch


# -- reading -----------------------------------------------------------------------------------------------------------


def read(token: str) -> Unverified:
    """The parts of a token. Raises: TokenRefused for anything but the compact form of one, in canonical base64 and JSON."""
    parts = _COMPACT(token)
    if parts is None:
        _refuse(Why.MALFORMED)
    header, claims = _object(parts[1]), _object(parts[2])
    if not isinstance(header.get("alg"), str) or not isinstance(header.get("kid", ""), str):
        _refuse(Why.MALFORMED)
    message, _, _ = token.rpartition(".")
    return Unverified(header, claims, message.encode(), _bytes(parts[3]))


def _bytes(segment: str) -> bytes:
    """Raises: TokenRefused where other text would mean the same bytes: then a token had several spellings."""
    try:
        decoded = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        _refuse(Why.MALFORMED)
    if urlsafe_b64encode(decoded).rstrip(b"=") != segment.encode():
        _refuse(Why.MALFORMED)
    return decoded


def _object(segment: str) -> dict[str, Any]:
    data = _bytes(segment)
    try:
        value: object = json.loads(data.decode(), object_pairs_hook=_each_once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        _refuse(Why.MALFORMED)
    if not isinstance(value, dict):
        _refuse(Why.MALFORMED)
    return cast("dict[str, Any]", value)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


# -- judging -----------------------------------------------------------------------------------------------------------


def ensure_acceptable(token: Unverified, issuer: Issuer, *, now: Epoch) -> None:
    """Whatever can be told without a key, so that no key is looked for in vain. Raises: TokenRefused."""
    _ensure_header(token.header, issuer)
    _ensure_time(token.claims, issuer, now=now)
    _ensure_audience(token.claims.get("aud"), issuer)


def verified(token: Unverified, issuer: Issuer, key: Verifies) -> Verified:
    """What an acceptable token says, if the key signed it. Raises: TokenRefused."""
    if not key.verify(token.message, token.signature, algorithm=token.algorithm):
        _refuse(Why.SIGNATURE)
    until = Epoch(_instant(token.claims["exp"]) + issuer.leeway)
    since = Epoch(max(_instant(token.claims.get(name, 0)) for name in ("nbf", "iat")) - issuer.leeway)
    return Verified(_identity(token.claims, issuer, until=until), since, until)


def _ensure_header(header: Mapping[str, Any], issuer: Issuer) -> None:
    if header["alg"] not in issuer.algorithms:
        _refuse(Why.ALGORITHM)
    kind = header.get("typ", "")
    if "crit" in header or header.get("b64", True) is not True or "cty" in header or not isinstance(kind, str):
        _refuse(Why.HEADER)
    if issuer.typ is not None and kind.lower().removeprefix("application/") != issuer.typ:
        _refuse(Why.HEADER)


def _ensure_time(claims: Mapping[str, Any], issuer: Issuer, *, now: Epoch) -> None:
    if "exp" not in claims or now >= _instant(claims["exp"]) + issuer.leeway:
        _refuse(Why.EXPIRED)
    if any(now < _instant(claims[name]) - issuer.leeway for name in ("nbf", "iat") if name in claims):
        _refuse(Why.EARLY)


def _instant(value: object) -> float:
    """Seconds since 1970, perhaps with a fraction. Raises: TokenRefused for what is none; 1e400 is read as infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_SECOND:
        _refuse(Why.MALFORMED)
    return value


def _ensure_audience(value: object, issuer: Issuer) -> None:
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list) or not all(isinstance(each, str) for each in cast("list[object]", named)):
        _refuse(Why.AUDIENCE)
    if not issuer.audience.intersection(cast("list[str]", named)):
        _refuse(Why.AUDIENCE)


def _identity(claims: Mapping[str, Any], issuer: Issuer, *, until: Epoch) -> Identity:
    subject = _at(claims, issuer.subject_claim)
    tenant = issuer.tenant if issuer.tenant_claim is None else _at(claims, issuer.tenant_claim)
    if not isinstance(subject, str) or not isinstance(tenant, str):
        _refuse(Why.CLAIMS)
    if issuer.tenants and tenant not in issuer.tenants:
        _refuse(Why.CLAIMS)
    try:
        return known(tenant, subject, _scopes(_at(claims, issuer.scopes_claim)), expires_at=until)
    except ValueError:
        _refuse(Why.CLAIMS)


def _scopes(value: object) -> frozenset[str]:
    """Of "a b", or of a list, whose items that are no scopes (they have spaces) are left out: nobody asks for them."""
    if value is None:
        return frozenset()
    named = value.split(" ") if isinstance(value, str) else value
    if not isinstance(named, list) or not all(isinstance(each, str) for each in cast("list[object]", named)):
        _refuse(Why.CLAIMS)
    return frozenset(each for each in cast("list[str]", named) if _SCOPE(each) and each.isprintable())


def _at(claims: Mapping[str, Any], path: Path) -> object:
    here: object = claims
    for name in path:
        if not isinstance(here, Mapping):
            return None
        here = cast("Mapping[str, object]", here).get(name)
    return here


def _refuse(why: Why) -> NoReturn:
    raise TokenRefused(why) from None
