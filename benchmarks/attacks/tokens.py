"""What a token costs whoever it is shown to: known, new, and forged in several ways, beside an honest page whose caller is known.

Invariant: no token is shown twice, but for the one that is known; turns of all kinds take place by turns, over one connection each.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import time
import tracemalloc
from base64 import urlsafe_b64encode
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from benchmarks.attacks.gateway import AUDIENCE, ISSUER, graph_settings
from benchmarks.attacks.table import PAGE
from benchmarks.figures import Figure, at_most
from benchmarks.processes import free_port, started
from gateway.authenticators import authenticator_of
from gateway.clock import LoopClock
from gateway.edge.authentication.bearer import MAX_VERIFIED
from gateway.settings import Settings
from gateway.telemetry import Telemetry

ROUNDS, TURN = 9, 60
TARGET = 2
"""Of an honest page: what may be refused must not cost more than what is answered twice."""
REMEMBERED = 32
"""MB: a third of what a worker has when it begins."""
BODY = json.dumps({"query": PAGE % 1, "variables": {"first": 10}}).encode()
KNOWN = "a page, by a caller who is known"

GATEWAY = (sys.executable, "-m", "benchmarks.attacks.gateway")

_numbers = count()
_KEYS: Mapping[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
_STRANGERS: Mapping[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
Make = Callable[[], str | None]
"""A token; None: the request has none."""


def listed() -> bytes:
    """The provider's key set: each key under the name of its algorithm."""
    algorithms = jwt.algorithms.get_default_algorithms()
    keys = [
        {**algorithms[name].to_jwk(key.public_key(), as_dict=True), "kid": name, "use": "sig", "key_ops": ["verify"]}
        for name, key in _KEYS.items()
    ]
    return json.dumps({"keys": keys}).encode()


def _claims(**other: object) -> dict[str, object]:
    now = int(time.time())
    scopes = "orders:read orders:write reviews:write"
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": f"u-{next(_numbers)}",
        "iat": now,
        "exp": now + 3600,
        "scope": scopes,
        **other,
    }


def _signed(algorithm: str, *, keys: Mapping[str, Any] = _KEYS, kid: str | None = None, **other: object) -> str:
    return jwt.encode(_claims(**other), keys[algorithm], algorithm=algorithm, headers={"kid": kid or algorithm})


def _unsigned() -> str:
    head = urlsafe_b64encode(b'{"alg":"none","kid":"RS256"}').rstrip(b"=").decode()
    return ".".join((head, _signed("EdDSA").split(".")[1], "AAAA"))


ONCE = _signed("RS256")
HONEST: Mapping[str, Make] = {
    "a page, by nobody": lambda: None,
    KNOWN: lambda: ONCE,
    **{f"a page, with a token that is new, {each}": partial(_signed, each) for each in _KEYS},
}
FORGED: Mapping[str, Make] = {
    **{f"signed by a stranger, {each}": partial(_signed, each, keys=_STRANGERS) for each in _KEYS},
    "of a key that nobody has": lambda: _signed("EdDSA", kid=f"invented-{next(_numbers)}"),
    "of another issuer": lambda: _signed("EdDSA", iss="https://elsewhere.example"),
    "expired": lambda: _signed("EdDSA", exp=1),
    "without a signature": _unsigned,
    "of 8 KiB, signed by a stranger": lambda: _signed("EdDSA", keys=_STRANGERS, more="x" * 5_800),
    "too long": lambda: "x" * 9_000,
    "no JWT": lambda: f"opaque-{next(_numbers)}",
}


def figures() -> Iterator[Figure]:
    spent = measured()
    base = spent[KNOWN]
    for kind in HONEST:
        print(f"  {kind:<50} {spent[kind] * 1e6:8.0f} µs of CPU", flush=True)
    for kind in FORGED:
        print(f"  a token {kind:<42} {spent[kind] * 1e6:8.0f} µs of CPU", flush=True)
    for kind in HONEST:
        if kind != KNOWN:
            yield at_most(f"CPU of {kind}, against one who is known", TARGET, spent[kind] / base, unit=" x")
    for kind in FORGED:
        yield at_most(f"CPU of refusing a token {kind}, against a page", TARGET, spent[kind] / base, unit=" x")
    yield at_most(f"memory of {MAX_VERIFIED:,} tokens that are known", REMEMBERED, remembered(), unit=" MB")


def measured() -> Mapping[str, float]:
    """Seconds of CPU of one request of each kind: medians of turns."""
    turns: defaultdict[str, list[float]] = defaultdict(list)
    with TemporaryDirectory() as folder:
        keys, port = Path(folder, "keys.json"), free_port()
        keys.write_bytes(listed())
        with started(*GATEWAY, str(port), str(keys), port=port) as process:
            for _ in range(ROUNDS):
                for kinds, status in ((HONEST, 200), (FORGED, 401)):
                    for kind, make in kinds.items():
                        turns[kind].append(_turn(port, process.pid, make, status=status))
    return {kind: median(each[1:]) for kind, each in turns.items()}  # the first one warms up


def remembered() -> float:
    """MB that a worker holds when it knows as many tokens as it may."""
    with TemporaryDirectory() as folder:
        keys = Path(folder, "keys.json")
        keys.write_bytes(listed())
        return asyncio.run(_held(graph_settings(str(keys))))


async def _held(settings: Settings) -> float:
    async with authenticator_of(settings, telemetry=Telemetry(), wires={}, clock=LoopClock()) as tokens:
        await tokens.authenticate(_bearer(ONCE))
        tracemalloc.start()
        for _ in range(MAX_VERIFIED):
            await tokens.authenticate(_bearer(_signed("EdDSA")))
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return held / 1e6


def _turn(port: int, pid: int, make: Make, *, status: int) -> float:
    headers = [{"content-type": "application/json"} | _bearer(make()) for _ in range(TURN)]
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.connect()
        before = _cpu(pid)
        for each in headers:
            connection.request("POST", "/graphql", body=BODY, headers=each)
            answer = connection.getresponse()
            answer.read()
            if answer.status != status:
                raise RuntimeError(f"it was answered with {answer.status}, and not with {status}")
        return (_cpu(pid) - before) / TURN


def _bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"authorization": f"Bearer {token}"}


def _cpu(pid: int) -> float:
    """Of the thread that serves, from the scheduler's own count."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9
