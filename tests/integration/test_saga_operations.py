"""Sagas in the hands of operators, and followed by clients: from GraphQL to the wires and back, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import strawberry

from gateway import (
    Done,
    Retry,
    Saga,
    SagaEvents,
    SagaOperations,
    SagaProgress,
    SagaStatus,
    SagaSummary,
    Service,
    StepCtx,
    Unknown,
    entity,
    field,
    find_saga,
    find_sagas,
    input_type,
    resolver,
    saga_field,
    step,
)
from gateway.errors import ServiceUnavailable
from gateway.graph import Connection, Ctx, build_graph
from gateway.services import ServiceRequest, ServiceResponse
from gateway.settings import Settings
from gateway.testing import (
    GatewayUnderTest,
    MemoryJournal,
    ScriptedWire,
    VirtualClock,
    answer,
    connected,
    in_virtual_time,
)

bank = Service("bank")
take = bank.command("POST", "/take", into=dict[str, str], rejects={"NO": "No."})
give_back = bank.command("POST", "/give-back", into=dict[str, str])
send_receipt = bank.command("POST", "/receipts", into=dict[str, str])


@entity
class Payment:
    """What was paid."""

    id: str = field("The bank's.")


@input_type
class PayInput:
    """How much."""

    amount: int = field("In cents.")


class Pay(Saga[PayInput, Payment], version=1, key="optional"):
    @step(retry=Retry(attempts=2), overtaken="tombstone")
    async def deposit(self, ctx: StepCtx, pay: PayInput) -> dict[str, str]:
        return await ctx.send(take, {"amount": pay.amount})

    @deposit.undo
    async def refund(self, ctx: StepCtx, deposit: Done[dict[str, str]] | Unknown) -> None:
        await ctx.send(give_back, {"forwardKey": ctx.forward_key})

    @step(pivot=True)
    async def payment(self, ctx: StepCtx, deposit: dict[str, str]) -> dict[str, str]:
        return await ctx.send(take, {"deposit": deposit["id"]})

    @step(retry=Retry(attempts=2))
    async def receipt(self, ctx: StepCtx, payment: dict[str, str]) -> dict[str, str]:
        return await ctx.send(send_receipt, {"payment": payment["id"]})

    def result(self, payment: dict[str, str]) -> Payment:
        return Payment(id=payment["id"])


@entity
class Query:
    """The root."""

    @resolver
    async def saga(self, ctx: Ctx, id: strawberry.ID) -> SagaProgress | None:  # noqa: A002
        """One."""
        return await find_saga(ctx, id)

    @resolver
    async def sagas(
        self,
        ctx: Ctx,
        status: list[SagaStatus] | None = None,  # type: ignore[valid-type]
        first: int = 50,
        after: str | None = None,
    ) -> Connection[SagaSummary]:
        """All."""
        return await find_sagas(ctx, status=status, first=first, after=after)


@strawberry.type
class Mutation(SagaOperations):
    pay = saga_field(Pay)


@strawberry.type
class Subscription(SagaEvents):
    pass


SETTINGS = Settings.model_validate(
    {
        "graph": {"sdl": ""},
        "services": {"bank": {"url": "http://bank.test"}},
        "sagas": {"overseer_scope": "support"},
        "identity": {
            "tokens": [
                {"token": "ada", "subject": "ada"},
                {"token": "eve", "subject": "eve"},
                {"token": "sue", "subject": "sue", "scopes": ["support"]},
                {"token": "op", "subject": "op", "scopes": ["operator"]},
            ]
        },
    }
)
ADA, EVE, SUE, OPERATOR = ({"authorization": f"Bearer {name}"} for name in ("ada", "eve", "sue", "op"))
PAY = "mutation { pay(input: { amount: 5 }, mode: %s) { __typename ... on SagaOutcome { sagaId status } } }"
STANDS = "query ($id: ID!) { saga(id: $id) { status cause input steps { name status attempts code result } } }"


class Bank:
    """Answers, unless its endpoint is `down`."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.calls: list[str] = []

    def __call__(self, request: ServiceRequest) -> ServiceResponse | Exception:
        self.calls.append(request.path)
        if request.path in self.down:
            return ServiceUnavailable("the bank is closed", service="bank", applied=False)
        return answer({"id": f"n{len(self.calls)}"})


def gateway_on(service: Bank) -> GatewayUnderTest:
    return GatewayUnderTest(
        SETTINGS,
        build_graph(Query, Mutation, Subscription),
        wires={"bank": ScriptedWire(otherwise=service)},
        clock=VirtualClock(),
        journal=MemoryJournal(),
    )


async def paid(gateway: GatewayUnderTest, mode: str = "SYNC", *, headers: dict[str, str] = ADA) -> dict[str, Any]:
    answered = await gateway.execute(PAY % mode, headers=headers)
    found: dict[str, Any] = answered.data["pay"]
    return found


async def operate(
    gateway: GatewayUnderTest, call: str, saga_id: str, *, headers: dict[str, str] = OPERATOR
) -> dict[str, Any]:
    """`call` is the mutation with its arguments, but for the saga's id."""
    name, _, arguments = call.partition("(")
    document = (
        f"mutation ($id: ID!) {{ it: {name}(sagaId: $id, {arguments} {{ __typename "
        "... on SagaOperationTaken { isRepeated saga { status } } ... on SagaOperationRefused { reason } } }"
    )
    answered = await gateway.execute(document, {"id": saga_id}, headers=headers)
    found: dict[str, Any] = answered.json
    return found


# -- clients -----------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_asynchronous_mutation_answers_as_soon_as_its_saga_is_durable() -> None:
    async with gateway_on(Bank()) as gateway:
        begun = await paid(gateway, "ASYNC")
        assert begun["__typename"] == "SagaAccepted"
        await asyncio.sleep(1)
        stands = await gateway.execute(STANDS, {"id": begun["sagaId"]}, headers=ADA)
    saga = stands.data["saga"]
    assert (saga["status"], saga["input"]) == ("COMPLETED", {"amount": 5})
    assert [each["result"] for each in saga["steps"]] == [{"id": "n1"}, {"id": "n2"}, {"id": "n3"}]


@in_virtual_time
async def test_a_saga_is_followed_to_its_end_and_gone_on_with_from_any_number() -> None:
    follow = (
        "subscription ($id: ID!, $after: Int!) { sagaEvents(id: $id, after: $after) { sequence kind step attempt } }"
    )
    async with gateway_on(Bank()) as gateway:
        begun = await paid(gateway, "ASYNC")
        async with connected(gateway.app) as socket:
            await socket.introduce({"authorization": "Bearer ada"})
            await socket.subscribe("a", follow, {"id": begun["sagaId"], "after": 0})
            whole = [message async for message in until_complete(socket)]
            await socket.subscribe("b", follow, {"id": begun["sagaId"], "after": 3})
            rest = [message async for message in until_complete(socket)]
    assert [event["sequence"] for event in whole] == list(range(1, len(whole) + 1))
    assert whole[0]["kind"] == "SagaStarted"
    assert whole[-1]["kind"] == "SagaEnded"
    assert [(event["kind"], event["step"]) for event in whole[1:3]] == [
        ("StepIntended", "deposit"),
        ("StepDone", "deposit"),
    ]
    assert rest == whole[3:]


async def until_complete(socket: Any) -> Any:
    while (message := await socket.receive(within=100))["type"] != "complete":
        if message["type"] == "ping":
            await socket.send(type="pong")
        else:
            yield message["payload"]["data"]["sagaEvents"]


@in_virtual_time
async def test_a_saga_of_somebody_else_cannot_be_followed_and_a_number_from_the_future_is_refused() -> None:
    async with gateway_on(Bank()) as gateway:
        begun = await paid(gateway)
        async with connected(gateway.app) as socket:
            await socket.introduce({"authorization": "Bearer eve"})
            await socket.subscribe("a", f'subscription {{ sagaEvents(id: "{begun["sagaId"]}") {{ kind }} }}')
            refused = await socket.receive()
        async with connected(gateway.app) as socket:
            await socket.introduce({"authorization": "Bearer ada"})
            await socket.subscribe("a", f'subscription {{ sagaEvents(id: "{begun["sagaId"]}", after: 99) {{ kind }} }}')
            too_far = await socket.receive()
    assert refused["payload"][0]["extensions"]["code"] == "SAGA_NOT_FOUND"
    assert too_far["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@in_virtual_time
async def test_following_a_saga_that_waits_for_a_person_goes_on_when_the_person_comes() -> None:
    service = Bank()
    service.down = {"/receipts"}
    async with gateway_on(service) as gateway:
        begun = await paid(gateway)
        assert begun["__typename"] == "SagaNeedsAttention"
        async with connected(gateway.app) as socket:
            await socket.introduce({"authorization": "Bearer ada"})
            await socket.subscribe("a", f'subscription {{ sagaEvents(id: "{begun["sagaId"]}") {{ kind actor }} }}')
            while (await socket.receive(within=100))["payload"]["data"]["sagaEvents"]["kind"] != "SagaEnded":
                pass
            await asyncio.sleep(20)
            service.down = set()
            await operate(gateway, 'retrySagaStep(step: "receipt", reason: "open again")', begun["sagaId"])
            seen = [event async for event in until_complete(socket)]
    assert seen[0] == {"kind": "OperatorRetried", "actor": "public/op"}
    assert seen[-1]["kind"] == "SagaEnded"


@in_virtual_time
async def test_a_subscription_by_post_is_told_where_it_is_served() -> None:
    async with gateway_on(Bank()) as gateway:
        refused = await gateway.execute('subscription { sagaEvents(id: "x") { kind } }')
    assert "graphql-transport-ws" in refused.errors[0]["message"]


# -- operators ---------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_what_waits_for_a_person_is_a_queue_that_empties() -> None:
    service = Bank()
    service.down = {"/receipts"}
    queue = "{ sagas(status: [NEEDS_ATTENTION]) { edges { node { id name subject status } } } }"
    async with gateway_on(service) as gateway:
        begun = await paid(gateway)
        waiting = await gateway.execute(queue, headers=OPERATOR)
        assert [each["node"] for each in waiting.data["sagas"]["edges"]] == [
            {"id": begun["sagaId"], "name": "Pay", "subject": "ada", "status": "NEEDS_ATTENTION"}
        ]
        service.down = set()
        taken = await operate(gateway, 'retrySagaStep(step: "receipt", reason: "open again")', begun["sagaId"])
        assert taken["data"]["it"]["__typename"] == "SagaOperationTaken"
        await asyncio.sleep(1)
        assert (await gateway.execute(queue, headers=OPERATOR)).data["sagas"]["edges"] == []
        stands = await gateway.execute(STANDS, {"id": begun["sagaId"]}, headers=ADA)
    assert stands.data["saga"]["status"] == "COMPLETED"


@in_virtual_time
async def test_a_step_that_nobody_reads_is_skipped_and_the_saga_completes() -> None:
    service = Bank()
    service.down = {"/receipts"}
    async with gateway_on(service) as gateway:
        begun = await paid(gateway)
        answered = await operate(gateway, 'skipSagaStep(step: "receipt", reason: "sent by hand")', begun["sagaId"])
        await asyncio.sleep(1)
        stands = await gateway.execute(STANDS, {"id": begun["sagaId"]}, headers=ADA)
    assert answered["data"]["it"]["__typename"] == "SagaOperationTaken", answered
    assert stands.data["saga"]["status"] == "COMPLETED"


@in_virtual_time
async def test_a_step_is_resolved_as_done_with_a_result_of_its_type_only() -> None:
    service = Bank()
    service.down = {"/receipts"}
    async with gateway_on(service) as gateway:
        begun = await paid(gateway)
        wrong = await operate(
            gateway, 'resolveSagaStep(step: "receipt", verdict: DONE, result: [1], reason: "seen")', begun["sagaId"]
        )
        right = await operate(
            gateway,
            'resolveSagaStep(step: "receipt", verdict: DONE, result: { id: "r" }, reason: "seen")',
            begun["sagaId"],
        )
        await asyncio.sleep(1)
        stands = await gateway.execute(STANDS, {"id": begun["sagaId"]}, headers=ADA)
    assert right.get("errors") is None
    assert wrong["data"]["it"]["reason"].startswith("receipt yields dict[str, str], and this is none: ")
    assert right["data"]["it"]["__typename"] == "SagaOperationTaken", right
    assert stands.data["saga"]["steps"][-1]["result"] == {"id": "r"}


@in_virtual_time
async def test_what_cannot_be_done_is_told_and_changes_nothing() -> None:
    async with gateway_on(Bank()) as gateway:
        begun = await paid(gateway)
        refused = await operate(gateway, 'cancelSaga(reason: "too late")', begun["sagaId"])
        unknown = await operate(gateway, 'cancelSaga(reason: "who?")', "nobody")
    assert refused["data"]["it"]["reason"] == "the saga is COMPLETED and has ended"
    assert unknown["errors"][0]["extensions"]["code"] == "SAGA_NOT_FOUND"


@in_virtual_time
async def test_a_cancel_before_the_pivot_undoes() -> None:
    service = Bank()
    service.down = {"/take"}
    async with gateway_on(service) as gateway:
        begun = await paid(gateway, "ASYNC")
        cancelled = await operate(gateway, 'cancelSaga(reason: "mistake")', begun["sagaId"])
        await asyncio.sleep(5)
        stands = await gateway.execute(STANDS, {"id": begun["sagaId"]}, headers=ADA)
    assert cancelled["data"]["it"]["__typename"] == "SagaOperationTaken"
    assert (stands.data["saga"]["status"], stands.data["saga"]["cause"]) == ("COMPENSATED", "CANCELLED")


@pytest.mark.parametrize(
    "call",
    [
        'retrySagaStep(step: "receipt", reason: "r")',
        'skipSagaStep(step: "receipt", reason: "r")',
        'resolveSagaStep(step: "receipt", verdict: UNDONE, reason: "r")',
        'cancelSaga(reason: "r")',
        'sendSagaSignal(signal: "s", payload: 1)',
    ],
)
@in_virtual_time
async def test_only_who_may_operate_does_not_even_the_owner(call: str) -> None:
    async with gateway_on(Bank()) as gateway:
        begun = await paid(gateway)
        by_owner = await operate(gateway, call, begun["sagaId"], headers=ADA)
        by_nobody = await operate(gateway, call, begun["sagaId"], headers={})
    assert by_owner["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert by_nobody["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("headers", [SUE, OPERATOR], ids=["overseer", "operator"])
@in_virtual_time
async def test_everybody_lists_their_own_sagas_and_who_oversees_lists_and_follows_all(headers: dict[str, str]) -> None:
    listing = "{ sagas { edges { node { id } } } }"
    async with gateway_on(Bank()) as gateway:
        adas, eves = [await paid(gateway, headers=each) for each in (ADA, EVE)]
        nobody = await gateway.execute(listing)
        lists = [await gateway.execute(listing, headers=each) for each in (ADA, EVE, headers)]
        ids = [{each["node"]["id"] for each in listed.data["sagas"]["edges"]} for listed in lists]
        async with connected(gateway.app) as socket:
            await socket.introduce(headers)
            await socket.subscribe(
                "a", "subscription ($id: ID!) { sagaEvents(id: $id) { saga { status } } }", {"id": adas["sagaId"]}
            )
            events = [event async for event in until_complete(socket)]
    assert nobody.codes == ["UNAUTHENTICATED"]
    assert "Authorization: Bearer" in nobody.errors[0]["message"]
    assert ids == [{adas["sagaId"]}, {eves["sagaId"]}, {adas["sagaId"], eves["sagaId"]}]
    assert events[-1]["saga"] == {"status": "COMPLETED"}


@in_virtual_time
async def test_a_list_of_sagas_is_paged_without_gap_or_repetition() -> None:
    page = "query ($after: String) { sagas(first: 2, after: $after) { edges { node { id } } pageInfo { hasNextPage endCursor } } }"
    async with gateway_on(Bank()) as gateway:
        begun = [(await paid(gateway))["sagaId"] for _ in range(5)]
        seen: list[str] = []
        after, has_next = None, True
        while has_next:
            found = (await gateway.execute(page, {"after": after}, headers=OPERATOR)).data["sagas"]
            seen += [each["node"]["id"] for each in found["edges"]]
            after, has_next = found["pageInfo"]["endCursor"], found["pageInfo"]["hasNextPage"]
        forged = await gateway.execute(page, {"after": "bogus!"}, headers=OPERATOR)
    assert sorted(seen) == sorted(begun)
    assert forged.codes == ["BAD_USER_INPUT"]
