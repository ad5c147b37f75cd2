"""Tokens as a provider makes them, and as nobody should: keys, their JWKS, and JWTs put together by hand."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import get_default_algorithms

from gateway.clock import Clock
from gateway.edge.authentication import BearerTokens, Issuer, KeySet, StaticTokens
from gateway.edge.authentication.keys import KeysUnreadable
from gateway.telemetry import Telemetry
from gateway.testing import VirtualClock

ISSUER, AUDIENCE = "https://login.example/shop", "sagaql"
NOW = 1_750_000_000
"""When a VirtualClock begins."""

Headers = Mapping[str, Any]


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    del number  # tells keys apart
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(number: int = 0, curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    del number
    return ec.generate_private_key(curve())


@cache
def ed_key(number: int = 0) -> Ed25519PrivateKey:
    del number
    return Ed25519PrivateKey.generate()


def jwk(key: Any, kid: str | None = None, **more: Any) -> dict[str, Any]:
    """The public half of a key, as a provider lists it."""
    algorithm = {"RSAPrivateKey": "RS256", "EllipticCurvePrivateKey": "ES256"}.get(_kind(key), "EdDSA")
    entry: dict[str, Any] = get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)
    entry.pop("key_ops", None)
    return {**entry, **({} if kid is None else {"kid": kid}), "use": "sig", **more}


def _kind(key: Any) -> str:
    return next(
        each.__name__ for each in (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, object) if isinstance(key, each)
    )


def jwks(*entries: Mapping[str, Any]) -> bytes:
    return json.dumps({"keys": entries}).encode()


def claims(**other: Any) -> dict[str, Any]:
    """Those of a good token; None takes one away."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": NOW, "exp": NOW + 300, "scope": "customer support"}
    return {name: value for name, value in {**good, **other}.items() if value is not None}


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(message: str, key: Any, algorithm: str) -> str:
    return encoded(get_default_algorithms()[algorithm].sign(message.encode(), key))


def token(
    said: Mapping[str, Any] | str | None = None,
    *,
    key: Any = None,
    algorithm: str = "RS256",
    kid: str | None = "one",
    header: Headers | str | None = None,
) -> str:
    """A token, well signed. `said`, `header`: as text where JSON's own writer would not write it."""
    head = {
        "alg": algorithm,
        **({} if kid is None else {"kid": kid}),
        **(header if isinstance(header, Mapping) else {}),
    }
    text = header if isinstance(header, str) else json.dumps(head)
    body = said if isinstance(said, str) else json.dumps(claims() if said is None else said)
    message = f"{encoded(text.encode('utf-8', 'surrogatepass'))}.{encoded(body.encode('utf-8', 'surrogatepass'))}"
    return f"{message}.{signed(message, key or rsa_key(), algorithm)}"


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


class Provider:
    """A provider in this process: what it lists now, how often it was asked, and whether it answers."""

    def __init__(self, *entries: Mapping[str, Any]) -> None:
        self.body = jwks(*entries)
        self.asked = 0
        self.is_dead = False
        self.takes = 0.0

    def lists(self, *entries: Mapping[str, Any]) -> None:
        self.body = jwks(*entries)

    async def read(self) -> bytes:
        self.asked += 1
        if self.takes:
            await asyncio.sleep(self.takes)
        if self.is_dead:
            raise KeysUnreadable("dead")
        return self.body

    async def start(self) -> None: ...
    async def close(self) -> None: ...


def issuer(**other: Any) -> Issuer:
    rules: dict[str, Any] = {"issuer": ISSUER, "audience": frozenset({AUDIENCE}), "jwks": "https://login.example/keys"}
    return Issuer(**{**rules, **other})


def authenticator(
    provider: Provider,
    rules: Issuer | None = None,
    *,
    clock: Clock | None = None,
    telemetry: Telemetry | None = None,
    static: StaticTokens | None = None,
    others: Sequence[KeySet] = (),
) -> BearerTokens:
    clock, telemetry = clock or VirtualClock(), telemetry or Telemetry()
    keys = KeySet(rules or issuer(), provider, clock=clock, telemetry=telemetry, random=Random(1).random)
    return BearerTokens(static or StaticTokens({}), [keys, *others], clock=clock, telemetry=telemetry)
