"""A client's secret reaches the service that needs it, and stands nowhere else: journal, logs, spans, metrics, answers."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
import strawberry
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway import (
    Ctx,
    Done,
    Length,
    Retry,
    Saga,
    SagaProgress,
    Secret,
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
from gateway.errors import ServiceRefused, ServiceUnavailable
from gateway.graph import build_graph
from gateway.project import problems
from gateway.sagas import new_secret_key
from gateway.settings import Settings
from gateway.telemetry import Telemetry, json_log
from gateway.testing import GatewayUnderTest, ScriptedWire, answer

CANARY = "canary-4111-1111"
FAST = Retry(attempts=2, base="1ms", cap="2ms")

bank = Service("bank")


class Session(msgspec.Struct):
    session: Secret[str]


class Paid(msgspec.Struct):
    receipt: str


open_session = bank.command("POST", "/sessions", into=Session, rejects={"WRONG_TOKEN": "The token is not valid."})
close_session = bank.command("POST", "/sessions/close", into=Paid)
pay = bank.command("POST", "/payments", into=Paid)


@input_type
class PayInput:
    """What is paid with."""

    token: Annotated[Secret[str], Length(1, 40)] = field("From the payment form.")
    others: list[Secret[str]] | None = field("Tried when the first is refused.", default=None)
    amount: int = field("Minor units.", default=1)


@entity
class Receipt:
    """What is paid."""

    number: str = field("Of the receipt.")


class PayByToken(Saga[PayInput, Receipt], version=1, deadline="10s"):
    """Pay."""

    @step(retry=FAST, overtaken="tombstone")
    async def login(self, ctx: StepCtx, order: PayInput) -> Session:
        return await ctx.send(open_session, {"token": order.token.reveal()})

    @login.undo
    async def logout(self, ctx: StepCtx, order: PayInput, login: Done[Session] | Unknown) -> None:
        await ctx.send(close_session, {"token": order.token.reveal(), "forwardKey": ctx.forward_key})

    @step(retry=FAST, pivot=True)
    async def payment(self, ctx: StepCtx, login: Session) -> Paid:
        return await ctx.send(pay, {"session": login.session.reveal()})

    def result(self, payment: Paid) -> Receipt:
        return Receipt(number=payment.receipt)


@strawberry.type
class Query:
    @resolver
    async def saga(self, ctx: Ctx, id: strawberry.ID) -> SagaProgress | None:  # noqa: A002
        """How a saga stands."""
        return await find_saga(ctx, id)


@strawberry.type
class Mutation:
    pay_by_token = saga_field(PayByToken)


GRAPH = build_graph(Query, Mutation)
PAY = """mutation ($input: PayInput!, $key: String) { payByToken(input: $input, idempotencyKey: $key) {
    __typename ... on SagaOutcome { sagaId status } ... on SagaFailed { code } ... on SagaRejected { code message } } }"""
INLINE = f'mutation {{ payByToken(input: {{token: "{CANARY}"}}, idempotencyKey: "inline") {{ __typename }} }}'
SESSION = answer({"session": f"{CANARY}-session"})
PAID = answer({"receipt": "r1"})


def settings(folder: Path, **sagas: Any) -> Settings:
    tree = {
        "graph": {"sdl": ""},
        "services": {"bank": {"url": "http://bank.test"}},
        "sagas": {"journal": str(folder / "journal.sqlite3"), **sagas},
        "telemetry": {"log_level": "debug"},
    }
    return Settings.within(folder, tree)


class Observed:
    """Everything that a gateway says of itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logged, self.exported = io.StringIO(), InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exported))
        self.telemetry = Telemetry(provider=provider, log=json_log(self.logged, level="debug"))

    def said(self) -> dict[str, bytes]:
        spans = "\n".join(span.to_json() for span in self.exported.get_finished_spans())
        files = {each.name: each.read_bytes() for each in self.folder.iterdir()}
        metrics = self.telemetry.metrics.exposition()
        return files | {"logs": self.logged.getvalue().encode(), "spans": spans.encode(), "metrics": metrics}

    def check(self) -> None:
        said = self.said()
        assert b"sealed:1:" in b"".join(said.values()), "the journal was looked at"
        assert b"step login" in said["spans"]
        assert [name for name, text in said.items() if CANARY.encode() in text] == []


def broken(request: object) -> ServiceUnavailable:
    return ServiceUnavailable("bank is down", service="bank")


def refused(request: object) -> ServiceRefused:
    return ServiceRefused("no", service="bank", http_status=422, reason="WRONG_TOKEN")


@pytest.mark.parametrize(
    ("script", "typename"),
    [
        ([SESSION, PAID], "PayByTokenCompleted"),
        ([broken, SESSION, PAID], "PayByTokenCompleted"),
        ([refused], "SagaRejected"),
        ([broken, broken, PAID], "SagaFailed"),
        ([answer({"odd": CANARY}), answer({"session": [CANARY]}), PAID], "SagaFailed"),
        ([SESSION, lambda _: ServiceRefused("no", service="bank", http_status=400), PAID], "SagaFailed"),
    ],
    ids=["done", "retried", "rejected", "failed", "answered strangely", "undone"],
)
async def test_a_secret_is_found_nowhere_but_at_its_service(
    tmp_path: Path, script: list[Callable[[Any], Any]], typename: str
) -> None:
    seen, wire = Observed(tmp_path), ScriptedWire(*script)
    gateway = GatewayUnderTest(
        settings(tmp_path, secret_key=new_secret_key()), GRAPH, wires={"bank": wire}, telemetry=seen.telemetry
    )
    async with gateway:
        variables = {"input": {"token": CANARY, "others": [f"{CANARY}-2"]}, "key": "k"}
        paid = await gateway.execute(PAY, variables)
        assert paid.data["payByToken"]["__typename"] == typename
        assert CANARY not in paid.body.decode()
        seen.check()
        again = await gateway.execute(PAY, variables)
        assert again.data == paid.data, "an honest retry is known by its keyed hash"
        other = await gateway.execute(PAY, {"input": {"token": "another"}, "key": "k"})
        assert other.data["payByToken"]["__typename"] == "IdempotencyConflict"
    assert CANARY.encode() in (wire.requests[0].body or b"")
    seen.check()


async def test_what_is_refused_before_it_begins_leaves_no_trace_either(tmp_path: Path) -> None:
    seen = Observed(tmp_path)
    gateway = GatewayUnderTest(
        settings(tmp_path, secret_key=new_secret_key()),
        GRAPH,
        wires={"bank": ScriptedWire(SESSION, PAID)},
        telemetry=seen.telemetry,
    )
    async with gateway:
        assert (await gateway.execute(PAY, {"input": {"token": CANARY * 9}, "key": "k"})).codes == ["BAD_USER_INPUT"]
        assert (await gateway.execute(PAY, {"input": {"token": CANARY, "typo": CANARY}, "key": "k"})).codes
        assert (await gateway.execute(PAY, {"input": {"token": [CANARY]}, "key": "k"})).codes
        assert (await gateway.execute(INLINE)).data["payByToken"]["__typename"] == "PayByTokenCompleted"
    seen.check()


async def test_after_a_rotation_an_honest_retry_is_still_known(tmp_path: Path) -> None:
    old, new = new_secret_key(), new_secret_key()
    variables = {"input": {"token": CANARY}, "key": "k"}
    told: list[Any] = []
    for keys in ({"secret_key": old}, {"secret_key": new, "old_secret_keys": [old]}):
        wire = ScriptedWire(SESSION, PAID)
        async with GatewayUnderTest(settings(tmp_path, **keys), GRAPH, wires={"bank": wire}) as gateway:
            told.append((await gateway.execute(PAY, variables)).data)
    assert told[0] == told[1]


# -- without a key -----------------------------------------------------------------------------------------------------


def test_check_refuses_a_graph_with_secrets_and_no_key_and_says_how_to_make_one(tmp_path: Path) -> None:
    (problem,) = [each for each in problems(settings(tmp_path), GRAPH) if "secrets" in each]
    assert "PayByToken v1 holds secrets" in problem
    assert "new-key secret" in problem
    assert "secrets" not in " ".join(problems(settings(tmp_path, secret_key=new_secret_key()), GRAPH))


def test_clients_see_a_plain_string(tmp_path: Path) -> None:
    assert "token: String! @constraint(minLength: 1, maxLength: 40)" in GRAPH.sdl
    assert "others: [String!] = null" in GRAPH.sdl
