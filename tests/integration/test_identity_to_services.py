"""What services are told of a caller, and that no caller ever sees what was said to another: coalesced, cached, batched."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import strawberry

from gateway import Ctx, Service, entity, resolver
from gateway.graph import build_graph
from gateway.services import ServiceRequest, ServiceResponse
from gateway.settings import Settings, SettingsInvalid
from gateway.testing import GatewayUnderTest, ScriptedWire, answer, in_virtual_time

mirror = Service("mirror")


@entity
class Seen:
    """What the service was told."""

    subject: str
    tenant: str
    scopes: str


own = mirror.loader("/own", keys="ids", key="key", into=Seen, fresh="1m")
ours = mirror.loader("/ours", keys="ids", key="key", into=Seen, fresh="1m", shared="tenant")
everybodys = mirror.loader("/everybodys", keys="ids", key="key", into=Seen, fresh="1m", shared="public")


@strawberry.type
class Query:
    @resolver
    async def own(self, ctx: Ctx) -> Seen | None:
        """For this caller."""
        return await ctx.load(own, "a")

    @resolver
    async def ours(self, ctx: Ctx) -> Seen | None:
        """For the caller's tenant."""
        return await ctx.load(ours, "a")

    @resolver
    async def everybodys(self, ctx: Ctx) -> Seen | None:
        """For all."""
        return await ctx.load(everybodys, "a")


graph = build_graph(Query)
HEADERS = {"x-user": "subject", "x-tenant": "tenant", "x-scopes": "scopes"}
PEOPLE = [("ann", "acme", ["read"]), ("bob", "acme", ["read", "write"]), ("ann", "other", [])]
TOKENS = [
    {"token": f"{tenant}-{subject}", "subject": subject, "tenant": tenant, "scopes": scopes}
    for subject, tenant, scopes in PEOPLE
]


async def reflected(request: ServiceRequest) -> ServiceResponse:
    await asyncio.sleep(0.01)  # so that whoever asks meanwhile could share it
    told = dict(request.headers)
    said = {
        name: told.get(header, "")
        for name, header in (("subject", "x-user"), ("tenant", "x-tenant"), ("scopes", "x-scopes"))
    }
    return answer([{"key": "a", **said}])


def gateway(wire: ScriptedWire, **service: Any) -> GatewayUnderTest:
    described = {"url": "http://mirror.test", "identity_headers": HEADERS, **service}
    settings = Settings.model_validate({"services": {"mirror": described}, "identity": {"tokens": TOKENS}})
    return GatewayUnderTest(settings, graph, wires={"mirror": wire})


async def seen(gateway: GatewayUnderTest, field: str, token: str | None, **headers: str) -> tuple[str, str, str]:
    shown = {} if token is None else {"authorization": f"Bearer {token}"}
    found = await gateway.execute(f"{{ {field} {{ subject tenant scopes }} }}", headers={**shown, **headers})
    assert found.errors == []
    value = found.data[field]
    return value["subject"], value["tenant"], value["scopes"]


@in_virtual_time
async def test_a_service_is_told_who_is_calling_by_the_headers_that_it_names() -> None:
    async with gateway(ScriptedWire(otherwise=reflected)) as running:
        assert await seen(running, "own", "acme-bob") == ("bob", "acme", "read write")
        assert await seen(running, "own", None) == ("", "", "")


@pytest.mark.parametrize("rounds", [1, 2])
@in_virtual_time
async def test_nobody_sees_what_was_said_to_another_whether_they_ask_at_once_or_later(rounds: int) -> None:
    wire = ScriptedWire(otherwise=reflected)
    async with gateway(wire) as running:
        for _ in range(rounds):  # the second time from the cache
            found = await asyncio.gather(
                *(seen(running, "own", f"{tenant}-{subject}") for subject, tenant, _ in PEOPLE)
            )
            assert found == [(subject, tenant, " ".join(scopes)) for subject, tenant, scopes in PEOPLE]
    assert len(wire.sent) == len(PEOPLE)


@in_virtual_time
async def test_a_tenant_s_answer_is_asked_for_with_the_tenant_alone_and_shared_within_it() -> None:
    wire = ScriptedWire(otherwise=reflected)
    async with gateway(wire) as running:
        found = await asyncio.gather(*(seen(running, "ours", f"{tenant}-{subject}") for subject, tenant, _ in PEOPLE))
    assert found == [("", "acme", ""), ("", "acme", ""), ("", "other", "")]
    assert len(wire.sent) == 2


@in_virtual_time
async def test_a_public_answer_is_asked_for_by_nobody_and_shared_by_all() -> None:
    wire = ScriptedWire(otherwise=reflected)
    async with gateway(wire) as running:
        found = await asyncio.gather(*(seen(running, "everybodys", token) for token in ("acme-ann", "other-ann", None)))
    assert (found, len(wire.sent)) == ([("", "", "")] * 3, 1)


@pytest.mark.parametrize("spelling", ["x-user", "X-User", "x-USER"])
@in_virtual_time
async def test_a_client_s_own_header_of_such_a_name_goes_nowhere(spelling: str) -> None:
    async with gateway(ScriptedWire(otherwise=reflected), send_headers=["x-other-*"]) as running:
        assert await seen(running, "own", "acme-ann", **{spelling: "bob"}) == ("ann", "acme", "read")
        assert await seen(running, "own", None, **{spelling: "bob"}) == ("", "", "")


@pytest.mark.parametrize("subject", ["ann lee", "ann\u00e9", "a,b", "50%", "a\tb"])
@in_virtual_time
async def test_a_name_that_no_header_may_hold_is_encoded(subject: str) -> None:
    wire = ScriptedWire(otherwise=reflected)
    tokens = [{"token": "t", "subject": subject}]
    try:
        settings = Settings.model_validate(
            {
                "services": {"mirror": {"url": "http://mirror.test", "identity_headers": HEADERS}},
                "identity": {"tokens": tokens},
            }
        )
    except (ValueError, SettingsInvalid):
        assert not subject.isprintable()
        return
    async with GatewayUnderTest(settings, graph, wires={"mirror": wire}) as running:
        told, _, _ = await seen(running, "own", "t")
    assert told.isascii()
    assert not set(told) & set(" ,\t")
    assert told != subject


def test_a_header_that_tells_who_is_calling_is_forwarded_to_no_service() -> None:
    services = {
        "mirror": {"url": "http://mirror.test", "identity_headers": {"x-user": "subject"}},
        "other": {"url": "http://other.test", "send_headers": ["X-User"]},
    }
    with pytest.raises(ValueError, match="which tells another service who is calling"):
        Settings.model_validate({"services": services})
