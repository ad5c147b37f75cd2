"""A proxy's word: believed of whoever shows a certificate that is named, and dropped from everybody else."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.datastructures import Headers

from gateway.edge.authentication import PEER, TrustedProxy, caller_of
from gateway.errors import RequestError, Unauthenticated
from gateway.identity import ANONYMOUS, Identity

PROXY = TrustedProxy(
    names=frozenset({"proxy.shop"}),
    subject_header="x-subject",
    tenant_header="x-tenant",
    scopes_header="x-scopes",
)
TOLD = [(b"x-subject", b"ann"), (b"x-tenant", b"acme"), (b"X-Scopes", b"read, write")]
OTHERS = [(b"accept", b"*/*")]


class Bearer:
    async def authenticate(self, headers: Any) -> Identity:
        return Identity("public", headers["authorization"]) if "authorization" in headers else ANONYMOUS


def scope(*headers: tuple[bytes, bytes], peer: str | None = "proxy.shop") -> dict[str, Any]:
    names = frozenset() if peer is None else frozenset({peer})
    return {"type": "http", "headers": [*OTHERS, *headers], "extensions": {PEER: names}}


async def called_by(seen: Any) -> Identity:
    return await caller_of(seen, Headers(raw=seen["headers"]), Bearer())


async def test_a_proxy_that_has_shown_its_certificate_is_believed() -> None:
    seen = PROXY.introduced(scope(*TOLD))
    assert await called_by(seen) == Identity("acme", "ann", frozenset({"read", "write"}))
    assert seen["headers"] == OTHERS, "nobody behind the door reads them"


@pytest.mark.parametrize("peer", [None, "other.shop", "PROXY.SHOP", "proxy.shop.evil"])
async def test_from_anybody_else_the_headers_are_as_if_not_there(peer: str | None) -> None:
    seen = PROXY.introduced(scope(*TOLD, peer=peer))
    assert await called_by(seen) == ANONYMOUS
    assert seen["headers"] == OTHERS


async def test_what_another_extension_claims_is_not_believed() -> None:
    forged = scope(*TOLD, peer=None)
    forged["headers"].append((b"sagaql.introduced", b"ann"))
    assert await called_by(PROXY.introduced(forged)) == ANONYMOUS


async def test_where_the_proxy_knows_nobody_credentials_count_as_ever() -> None:
    seen = PROXY.introduced(scope((b"x-tenant", b"acme"), (b"authorization", b"Bearer t")))
    assert await called_by(seen) == Identity("public", "Bearer t")


@pytest.mark.parametrize(
    "headers",
    [
        [*TOLD, (b"X-Subject", b"bob")],
        [(b"x-subject", b"\xff\xfe")],
        [(b"x-subject", b"ann\x00")],
    ],
    ids=["said twice", "no text", "not printable"],
)
async def test_a_word_that_cannot_be_read_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Unauthenticated, match="in a way that cannot be read"):
        await called_by(PROXY.introduced(scope(*headers)))


async def test_two_authorizations_are_one_too_many() -> None:
    with pytest.raises(RequestError, match="two Authorization headers"):
        await called_by(scope((b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")))
