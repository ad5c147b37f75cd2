"""Whose tokens are taken, and under which rules: one `Issuer` each, as plain values.

Invariant: a value that exists can be kept to; impossible ones fail when built, with what to write instead. No algorithm is among
`ALGORITHMS` that signs with what verifies: so a public key is never a secret, whatever a token says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from ...clock import Seconds
from ...loopback import is_loopback

Path = tuple[str, ...]
"""Where a claim is: ("realm_access", "roles")."""


class Kind(NamedTuple):
    """What a key must be for an algorithm: its type, and its curve where it has one."""

    kty: str
    crv: str | None = None


ALGORITHMS: Mapping[str, Kind] = MappingProxyType(
    {
        "RS256": Kind("RSA"),
        "RS384": Kind("RSA"),
        "RS512": Kind("RSA"),
        "PS256": Kind("RSA"),
        "PS384": Kind("RSA"),
        "PS512": Kind("RSA"),
        "ES256": Kind("EC", "P-256"),
        "ES384": Kind("EC", "P-384"),
        "ES512": Kind("EC", "P-521"),
        "EdDSA": Kind("OKP", "Ed25519"),
    }
)

LONGEST_LEEWAY = Seconds(300.0)
"""Five minutes: clocks that differ by more are broken, and a token that has been taken back lives on for as long."""

SHORTEST_REFRESH = Seconds(10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Whose tokens are taken, and how they are read."""

    issuer: str
    audience: frozenset[str]
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    jwks: str
    """An https address, or the path of a file."""
    leeway: Seconds = Seconds(30.0)
    typ: str | None = None
    """In lower case, without "application/"."""
    subject_claim: Path = ("sub",)
    tenant: str = "public"
    tenant_claim: Path | None = None
    tenants: frozenset[str] = frozenset()
    scopes_claim: Path = ("scope",)
    refresh: Seconds = Seconds(600.0)
    stale: Seconds = Seconds(3600.0)
    cooldown: Seconds = Seconds(10.0)

    def __post_init__(self) -> None:
        if not self.issuer or not self.audience or not all(self.audience):
            raise ValueError("issuer and audience must be given: a token made for somebody else is not taken")
        _ensure_algorithms(self.algorithms)
        if is_address(self.jwks):
            _ensure_address(self.jwks)
        if self.tenants and self.tenant_claim is None:
            raise ValueError("tenants says which tenants tenant_claim may name: give both, or neither")
        _ensure_durations(self)

    @property
    def nameable(self) -> frozenset[str] | None:
        """The tenants that its tokens may be of; None: any."""
        return frozenset({self.tenant}) if self.tenant_claim is None else self.tenants or None


class Place(NamedTuple):
    """Where keys are fetched, taken apart."""

    origin: str
    path: str
    query: tuple[tuple[str, str], ...]


def place_of(address: str) -> Place:
    parts = urlsplit(address)
    return Place(
        f"{parts.scheme}://{parts.netloc}", parts.path or "/", tuple(parse_qsl(parts.query, keep_blank_values=True))
    )


def is_address(jwks: str) -> bool:
    return "://" in jwks


def path_of(claim: str) -> Path:
    """`realm_access.roles` leads into an object; a name that is an address (`https://shop.example/tenant`) is one name."""
    return (claim,) if "://" in claim else tuple(claim.split("."))


def ensure_apart(issuers: Sequence[Issuer]) -> None:
    """Raises: ValueError where two issuers could mean different people by one name: tenant and subject are who one is."""
    named: dict[str, str] = {}
    for each in issuers:
        if any(each.issuer == other.issuer for other in issuers if other is not each):
            raise ValueError("two issuers have the same name: one issuer, one table")
        if each.nameable is None and len(issuers) > 1:
            raise ValueError(
                f"{each.issuer} may name any tenant, and so those of other issuers: list its own as `tenants`"
            )
        for tenant in each.nameable or ():
            if named.setdefault(tenant, each.issuer) != each.issuer:
                raise ValueError(
                    f"{named[tenant]} and {each.issuer} are both of the tenant {tenant!r}, so a subject of one would pass for "
                    "one of the other: give each its own `tenant`"
                )


def _ensure_algorithms(algorithms: Iterable[str]) -> None:
    unknown = [each for each in algorithms if each not in ALGORITHMS]
    if unknown or not algorithms:
        shared = ": with HS256 and its like whoever can verify a token can make one" if "HS" in str(unknown) else ""
        raise ValueError(f"algorithms must be some of {', '.join(ALGORITHMS)}{shared}")


def _ensure_address(address: str) -> None:
    """Raises: ValueError, without the address: it may hold a password."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError("jwks is no address: write https://host/path, or the path of a file") from error
    if parts.username is not None or parts.password is not None or parts.fragment or not host:
        raise ValueError(
            "jwks holds credentials or a fragment, or names no host: keys are public, write https://host/path"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ValueError(
            "jwks must be an https address: whoever can change the answer can sign tokens. http is taken from this machine only"
        )


def _ensure_durations(issuer: Issuer) -> None:
    if not 0 <= issuer.leeway <= LONGEST_LEEWAY:
        raise ValueError(f"leeway must be at most {LONGEST_LEEWAY:g} s: let the clocks be set instead")
    if not SHORTEST_REFRESH <= issuer.refresh < math.inf:
        raise ValueError(
            f"refresh must be at least {SHORTEST_REFRESH:g} s: keys change seldom, and a new one is asked for"
        )
    if issuer.stale < issuer.refresh:
        raise ValueError("stale must be at least refresh, or the keys would be gone before they are asked for again")
    if not 1 <= issuer.cooldown <= issuer.refresh:
        raise ValueError(
            "cooldown must be at least 1 s, and at most refresh: tokens with invented keys cost a call each"
        )
