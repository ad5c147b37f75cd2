"""Whose a saga is, before a restart and after it: what services are told, who finds it, and under whose keys."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import strawberry

from gateway import (
    Done,
    Saga,
    SagaEvents,
    SagaProgress,
    Service,
    StepCtx,
    Unknown,
    entity,
    field,
    find_saga,
    input_type,
    resolver,
    saga_field,
    step,
)
from gateway.graph import Ctx, build_graph
from gateway.services import ServiceRequest, ServiceResponse
from gateway.settings import Settings
from gateway.testing import (
    GatewayUnderTest,
    MemoryJournal,
    ScriptedWire,
    VirtualClock,
    answer,
    connected,
    hang,
    in_virtual_time,
)

bank = Service("bank")
hold = bank.command("POST", "/hold", into=dict[str, str])
release = bank.command("POST", "/release", into=dict[str, str])
take = bank.command("POST", "/take", into=dict[str, str], rejects={"NO": "No."})


@entity
class Account:
    """What somebody has."""

    id: str
    owner: str


accounts = bank.loader("/accounts", keys="ids", key="id", into=Account)


@entity
class Payment:
    """What was paid."""

    id: str = field("The bank's.")


@input_type
class PayInput:
    """How much."""

    amount: int = field("In cents.")


class Pay(Saga[PayInput, Payment], version=1):
    @step(overtaken="tombstone")
    async def held(self, ctx: StepCtx, pay: PayInput) -> dict[str, str]:
        account = await ctx.load(accounts, "main")
        return await ctx.send(hold, {"amount": pay.amount, "of": None if account is None else account.owner})

    @held.undo
    async def released(self, ctx: StepCtx, held: Done[dict[str, str]] | Unknown) -> None:
        await ctx.send(release, {"forwardKey": ctx.forward_key})

    @step(pivot=True)
    async def taken(self, ctx: StepCtx, held: dict[str, str]) -> dict[str, str]:
        return await ctx.send(take, {"held": held["id"]})

    def result(self, taken: dict[str, str]) -> Payment:
        return Payment(id=taken["id"])


@strawberry.type
class Query:
    @resolver
    async def saga(self, ctx: Ctx, id: strawberry.ID) -> SagaProgress | None:  # noqa: A002 - the argument's name in the graph
        """One."""
        return await find_saga(ctx, id)


@strawberry.type
class Mutation:
    pay = saga_field(Pay)


@strawberry.type
class Subscription(SagaEvents):
    pass


GRAPH = build_graph(Query, Mutation, Subscription)
PEOPLE = [("acme", "ann"), ("acme", "bob"), ("other", "ann")]
ANN, BOB, OTHER_ANN = ({"authorization": f"Bearer {tenant}-{subject}"} for tenant, subject in PEOPLE)
SETTINGS = Settings.model_validate(
    {
        "services": {
            "bank": {
                "url": "http://bank.test",
                "identity_headers": {"x-user": "subject", "x-tenant": "tenant", "x-scopes": "scopes"},
            }
        },
        "sagas": {"drain": 0},
        "identity": {
            "tokens": [
                {"token": f"{tenant}-{subject}", "tenant": tenant, "subject": subject, "scopes": ["premium"]}
                for tenant, subject in PEOPLE
            ]
        },
    }
)
PAY = (
    'mutation ($mode: SagaMode!) { pay(input: { amount: 5 }, idempotencyKey: "k", mode: $mode) '
    "{ ... on SagaOutcome { sagaId status } } }"
)
STANDS = "query ($id: ID!) { saga(id: $id) { status } }"


class Bank:
    """Remembers who it was told is calling. Its endpoint in `stuck` never answers, the one in `unwilling` says no."""

    def __init__(self) -> None:
        self.told = list[tuple[str, tuple[str, str, str]]]()
        self.stuck = self.unwilling = ""
        self.wire = ScriptedWire(otherwise=self._answer)

    async def _answer(self, request: ServiceRequest) -> ServiceResponse | BaseException:
        headers = dict(request.headers)
        who = (headers.get("x-tenant", ""), headers.get("x-user", ""), headers.get("x-scopes", ""))
        self.told.append((request.path, who))
        if request.path == self.stuck:
            return await hang(request)
        if request.path == self.unwilling:
            return answer({"code": "NO", "message": "No."}, status=409)
        if request.path == "/accounts":
            return answer([{"id": "main", "owner": headers.get("x-user", "nobody")}])
        return answer({"id": f"n{len(self.told)}"})

    def gateway(self, journal: MemoryJournal) -> GatewayUnderTest:
        return GatewayUnderTest(SETTINGS, GRAPH, wires={"bank": self.wire}, clock=VirtualClock(), journal=journal)


async def paid(gateway: GatewayUnderTest, who: dict[str, str], mode: str = "SYNC") -> dict[str, Any]:
    found: dict[str, Any] = (await gateway.execute(PAY, {"mode": mode}, headers=who)).data["pay"]
    return found


async def status(gateway: GatewayUnderTest, who: dict[str, str], saga_id: str) -> str:
    """Of the saga, or why it is not shown."""
    answered = await gateway.execute(STANDS, {"id": saga_id}, headers=who)
    return answered.codes[0] if answered.errors else str(answered.data["saga"]["status"])


@pytest.mark.parametrize(
    ("unwilling", "ends", "after"),
    [("", "COMPLETED", ["/take"]), ("/take", "COMPENSATED", ["/take", "/release"])],
    ids=["forward", "undone"],
)
@in_virtual_time
async def test_after_a_restart_a_saga_is_its_caller_s_still_and_services_are_told_so(
    unwilling: str, ends: str, after: list[str]
) -> None:
    service, journal = Bank(), MemoryJournal()
    service.stuck = "/take"
    async with service.gateway(journal) as before:
        begun = await paid(before, ANN, "ASYNC")
        await asyncio.sleep(1)
        assert [path for path, _ in service.told] == ["/accounts", "/hold", "/take"]
    first, service.told = service.told, []

    service.stuck, service.unwilling = "", unwilling
    async with service.gateway(journal) as afterwards:
        await asyncio.sleep(60)
        assert await status(afterwards, ANN, begun["sagaId"]) == ends
        for stranger in (BOB, OTHER_ANN, {}):
            assert await status(afterwards, stranger, begun["sagaId"]) == "SAGA_NOT_FOUND"
        async with connected(afterwards.app) as socket:
            await socket.introduce(BOB)
            await socket.subscribe("a", f'subscription {{ sagaEvents(id: "{begun["sagaId"]}") {{ kind }} }}')
            assert (await socket.receive())["payload"][0]["extensions"]["code"] == "SAGA_NOT_FOUND"
    assert [path for path, _ in service.told] == after
    assert {who for _, who in first + service.told} == {("acme", "ann", "")}, "scopes may have been taken back since"


@in_virtual_time
async def test_after_a_restart_a_key_is_its_caller_s_still() -> None:
    service, journal = Bank(), MemoryJournal()
    async with service.gateway(journal) as before:
        first = await paid(before, ANN)
    service.told.clear()
    async with service.gateway(journal) as afterwards:
        assert await paid(afterwards, ANN) == first
        assert service.told == []
        others = [await paid(afterwards, who) for who in (BOB, OTHER_ANN)]
    assert len({first["sagaId"], *(each["sagaId"] for each in others)}) == 3
    assert {who[:2] for _, who in service.told} == {("acme", "bob"), ("other", "ann")}


@in_virtual_time
async def test_a_header_of_a_client_s_own_does_not_make_a_saga_somebody_else_s() -> None:
    service = Bank()
    async with service.gateway(MemoryJournal()) as gateway:
        await paid(gateway, {**ANN, "x-user": "bob", "X-Tenant": "other"})
    assert {who for _, who in service.told} == {("acme", "ann", "")}
