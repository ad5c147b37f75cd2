"""What is told of an operation after it ran is what is told before, and what was measured hangs on it. No secret is in either."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import httpx
import pytest
import strawberry

from gateway import (
    Connection,
    Ctx,
    Node,
    Retry,
    Saga,
    Secret,
    Service,
    StepCtx,
    alternative,
    batched,
    entity,
    field,
    input_type,
    join,
    key_of,
    resolver,
    saga_field,
    step,
)
from gateway.clock import Seconds
from gateway.errors import ServiceUnavailable
from gateway.execution.document import Documents
from gateway.execution.explaining import as_json, explain
from gateway.graph import build_graph
from gateway.graph.node import global_id
from gateway.sagas import new_secret_key
from gateway.services import ServiceRequest, ServiceResponse
from gateway.settings import Settings
from gateway.telemetry import Metrics, Telemetry
from gateway.testing import (
    Answer,
    GatewayUnderTest,
    MemoryJournal,
    ScriptedWire,
    VirtualClock,
    after,
    answer,
    in_virtual_time,
)
from tests.integration.explaining import asked, explanation, reads_of, unmeasured

store, post = Service("store"), Service("post")


@entity
class Label:
    """What is on a parcel."""

    text: str = field("In full.")


labels = store.loader("/labels", keys="ids", key="id", into=Label, params={"size": "size"}, shared="public")
old_labels = post.loader("/labels", keys="ids", key="id", into=Label, params={"size": "size"}, shared="public")


@entity
class Parcel(Node):
    """What is sent."""

    weight: int = field("Grams.")
    label: Label | None = join(labels, on="key", size=(int, 1), otherwise=alternative(old_labels))

    @batched
    @staticmethod
    async def days(parcels: list[Parcel]) -> list[int]:
        """Days under way."""
        return [1 for _ in parcels]


@entity
class Letter(Node):
    """What is written."""

    lines: int = field("How many.")
    label: Label | None = join(labels, on="key")


parcels = store.loader("/parcels", keys="ids", key="key", into=Parcel, shared="public", fresh="1m")
letters = store.loader("/letters", keys="ids", key="key", into=Letter, shared="public")
listing = store.pages("/listing", into=Parcel, params={"first": "limit", "after": "cursor"}, shared="public")
send = post.command("POST", "/sendings", into=dict[str, str], rejects={"TOO_HEAVY": "It is too heavy."})
take_back = post.command("POST", "/sendings/undo", into=dict[str, str])
bill = store.command("POST", "/bills", into=dict[str, str])


@strawberry.type
class Query:
    @resolver
    async def node(self, ctx: Ctx, id: strawberry.ID) -> Node | None:  # noqa: A002 - the argument's name in the graph
        """Whatever has the id."""
        return await ctx.load(parcels, key_of(id, Parcel))

    @resolver
    async def parcels(self, ctx: Ctx, first: int = 2, after: str | None = None) -> Connection[Parcel]:
        """A listing."""
        return await ctx.connection(listing, first=first, after=after)

    @resolver
    async def either(self, ctx: Ctx, key: str) -> Annotated[Parcel | Letter, strawberry.union("Sending")] | None:
        """A letter."""
        return await ctx.load(letters, key)

    @resolver
    def written(self, ctx: Ctx) -> str:
        """Where this request is written down."""
        places = (ctx.begun, ctx.loads.reading.recording)
        return f"{sum(each is not None for each in places)} places to write"

    @resolver
    async def road(self, ctx: Ctx, times: int = 1) -> str | None:
        """How the road is, asked by hand."""
        said = ""
        for number in range(times):
            found = await ctx.http(post).get(f"/roads/{number}", extensions={"endpoint": "GET /roads/{number}"})
            said += found.text
        return said

    @resolver
    async def gate(self, ctx: Ctx) -> str | None:
        """Asked by hand, without a word about the endpoint."""
        try:
            return (await ctx.http(post).post("/gates/secret-gate", json={"who": "canary"})).text
        except httpx.HTTPError:
            return None


@input_type
class SendInput:
    """What is sent."""

    name: str = field("What is in it.")
    token: Secret[str] = field("From the payment form.")
    tokens: list[Secret[str]] | None = field("Others.", default=None)


class SendParcel(Saga[SendInput, Label], version=1, deadline="30s", key="optional"):
    """Send a parcel."""

    @step(retry=Retry(attempts=3, base="100ms", cap="100ms"), overtaken="tombstone")
    async def sending(self, ctx: StepCtx, order: SendInput) -> dict[str, str]:
        return await ctx.send(send, {"name": order.name, "token": order.token.reveal()})

    @sending.undo
    async def back(self, ctx: StepCtx) -> None:
        await ctx.send(take_back, {"forwardKey": ctx.forward_key})

    @step(retry=Retry(attempts=1), pivot=True)
    async def payment(self, ctx: StepCtx, sending: dict[str, str]) -> dict[str, str]:
        return await ctx.send(bill, sending)

    def result(self, payment: dict[str, str]) -> Label:
        return Label(text=payment["text"])


@strawberry.type
class Mutation:
    send_parcel = saga_field(SendParcel)

    @resolver
    async def touch(self, ctx: Ctx) -> Parcel | None:
        """No saga."""
        return await ctx.load(parcels, "a")


GRAPH = build_graph(Query, Mutation)
ID = global_id(Parcel, "canary-key")
SEND = """mutation ($input: SendInput!, $key: String) { sendParcel(input: $input, idempotencyKey: $key) {
    __typename ... on SendParcelCompleted { label { text } } ... on SagaOutcome { sagaId status } } }"""
INPUT = {"input": {"name": "tea", "token": "canary-token", "tokens": ["canary-token"]}}
OPERATIONS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "joins and aliases": (
        "{ parcels { edges { node { small: label { text } big: label(size: 9) { text } again: label { text } } } } }",
        None,
    ),
    "an interface and fragments": (
        """query ($id: ID!, $full: Boolean!) { node(id: $id) { __typename ...P ... on Letter { lines } } }
        fragment P on Parcel { weight days label @include(if: $full) { text } }""",
        {"id": ID, "full": True},
    ),
    "a union": (
        '{ either(key: "l") { ... on Parcel { weight } ... on Letter { lines label { text } } } }',
        None,
    ),
    "a condition that says no": (
        "query ($no: Boolean! = false) { parcels(first: 1) { totalCount @include(if: $no) edges { cursor } } }",
        {},
    ),
    "calls by hand": ("{ road(times: 2) gate }", None),
    "introspection": ("{ __schema { description } road }", None),
    "a saga": (SEND, INPUT),
    "two sagas and a write": (
        """mutation { touch { weight } a: sendParcel(input: {name: "a", token: "canary-token"}) { __typename }
        b: sendParcel(input: {name: "b", token: "canary-token"}) { __typename } }""",
        None,
    ),
}


def said(request: ServiceRequest) -> ServiceResponse:
    keys = [value for name, value in request.query if name == "ids"]
    match request.path:
        case "/labels":
            return answer([{"id": key, "text": "canary-payload"} for key in keys])
        case "/parcels" | "/letters":
            return answer([{"key": key, "weight": 1, "lines": 2} for key in keys])
        case "/listing":
            return answer({"items": [{"key": key, "weight": 1} for key in ("p", "q")], "nextCursor": "canary-key"})
        case _:
            return answer({"text": "canary-payload"})


def settings(**concerns: Any) -> Settings:
    tree: dict[str, Any] = {
        "graph": {"sdl": ""},
        "services": {name: {"url": f"http://canary-{name}.test"} for name in ("store", "post")},
        "identity": {"tokens": [{"token": "staff", "subject": "canary-subject", "scopes": ["explain"]}]},
        "sagas": {"secret_key": new_secret_key()},
    }
    return Settings.model_validate({**tree, **concerns})


def depot(
    *,
    post: ScriptedWire | None = None,
    store: ScriptedWire | None = None,
    configured: Settings | None = None,
    journal: MemoryJournal | None = None,
    telemetry: Telemetry | None = None,
) -> GatewayUnderTest:
    usual = ScriptedWire(otherwise=said)
    return GatewayUnderTest(
        configured or settings(),
        GRAPH,
        wires={"store": store or usual, "post": post or usual},
        clock=VirtualClock(),
        journal=journal or MemoryJournal(),
        telemetry=telemetry,
    )


def beforehand(text: str, variables: Mapping[str, Any] | None, configured: Settings) -> dict[str, Any]:
    """What `sagaql explain --json` prints."""
    documents = Documents(GRAPH.core, max_entries=1, max_tokens=100_000, metrics=Metrics())
    operation = documents.operation(text, None)
    told = explain(
        GRAPH,
        operation,
        variables,
        services=configured.service_policies(),
        deadline=Seconds(10.0) if operation.kind.value == "query" else Seconds(15.0),
        saga_wait=configured.sagas.wait,
        compiles=configured.operation.compile,
    )
    plain: dict[str, Any] = json.loads(json.dumps(as_json(told)))
    return plain


@pytest.mark.parametrize(("text", "variables"), OPERATIONS.values(), ids=OPERATIONS)
@in_virtual_time
async def test_what_is_told_after_a_run_is_what_is_told_before_it(text: str, variables: dict[str, Any] | None) -> None:
    configured = settings()
    before = beforehand(text, variables or {}, configured)
    async with depot(configured=configured) as gateway:
        answers = [await asked(gateway, text, variables) for _ in range(2)]

    assert [found.errors for found in answers] == [[], []]
    assert before == unmeasured(before), "nothing is measured before anything runs"
    for found in answers:
        assert unmeasured(explanation(found)) == before
        assert explanation(found)["run"] is not None


@pytest.mark.parametrize(("text", "variables"), OPERATIONS.values(), ids=OPERATIONS)
@in_virtual_time
async def test_nothing_of_a_payload_a_key_an_address_or_a_secret_is_told(
    text: str, variables: dict[str, Any] | None
) -> None:
    async with depot() as gateway:
        found = await asked(gateway, text, variables)
    assert "canary" not in json.dumps(explanation(found))


# -- what no loader reads ----------------------------------------------------------------------------------------------


@in_virtual_time
async def test_calls_by_hand_are_reads_with_their_attempts_and_times() -> None:
    wire = ScriptedWire(answer(status=503), otherwise=after(0.1, answer({"text": "x"})))
    async with depot(post=wire) as gateway:
        told = explanation(await asked(gateway, "{ road(times: 2) gate }"))
    road, gate = told["fields"]
    reads = reads_of(told)

    assert [(each["kind"], each["service"], each["endpoint"], each["outcome"]) for each in reads] == [
        ("http", "post", "GET /roads/{number}", "ok"),
        ("http", "post", "POST *", "ok"),
        ("http", "post", "GET /roads/{number}", "ok"),
    ]
    assert [each["attempts"] for each in reads] == [2, 1, 1]
    assert (reads[1]["startMilliseconds"], reads[1]["milliseconds"]) == (0.0, 100.0)
    assert [each["calls"][0]["reads"] for each in (road, gate)] == [[0, 1, 2], [0, 1, 2]], "by hand anything is asked"


@in_virtual_time
async def test_a_call_by_hand_that_fails_says_with_which_code() -> None:
    def gone(_: object) -> ServiceUnavailable:
        return ServiceUnavailable("post closed the connection", service="post")

    async with depot(post=ScriptedWire(otherwise=gone)) as gateway:
        (read,) = reads_of(explanation(await asked(gateway, "{ gate }")))
    assert (read["outcome"], read["attempts"]) == ("SERVICE_UNAVAILABLE", 1)


@in_virtual_time
async def test_what_an_alternative_was_asked_for_is_told_with_it() -> None:
    def ill(request: ServiceRequest) -> ServiceResponse:
        return answer(status=400) if request.path == "/labels" else said(request)

    async with depot(store=ScriptedWire(otherwise=ill)) as gateway:
        told = explanation(await asked(gateway, '{ node(id: "' + ID + '") { ... on Parcel { label { text } } } }'))
    (label,) = told["fields"][0]["fields"]

    (instead, nothing) = label["join"]["fallbacks"]
    assert [reads_of(told)[place]["outcome"] for place in label["calls"][0]["reads"]] == ["SERVICE_REFUSED"]
    assert [reads_of(told)[place]["service"] for place in instead["call"]["reads"]] == ["post"]
    assert nothing["call"] is None


# -- sagas -------------------------------------------------------------------------------------------------------------


def saga_of(found: Answer) -> dict[str, Any]:
    told: dict[str, Any] = explanation(found)["fields"][0]["saga"]
    return told


@in_virtual_time
async def test_the_steps_of_a_saga_say_how_far_they_were_when_its_field_was_answered() -> None:
    wire = ScriptedWire(answer(status=503), otherwise=after(0.2, answer({"text": "x"})))
    async with depot(post=wire) as gateway:
        found = await asked(gateway, SEND, INPUT)
    told = saga_of(found)
    sending, payment = told["steps"]

    assert (told["run"]["id"], told["run"]["status"]) == (found.data["sendParcel"]["sagaId"], "COMPLETED")
    assert told["run"]["isNew"]
    assert {name: sending["run"][name] for name in ("status", "attempts", "undoAttempts", "code")} == {
        "status": "DONE",
        "attempts": 2,
        "undoAttempts": 0,
        "code": None,
    }
    assert sending["run"]["startMilliseconds"] == 0.0
    assert sending["run"]["milliseconds"] == payment["run"]["startMilliseconds"] >= 200.0
    assert [each["calls"][0]["reads"] for each in (sending, payment)] == [None, None], "the host makes them"
    assert reads_of(explanation(found)) == []


@in_virtual_time
async def test_what_was_undone_is_told_with_its_code() -> None:
    store = ScriptedWire(otherwise=answer({"reason": "NO"}, status=422))
    async with depot(store=store) as gateway:
        told = saga_of(await asked(gateway, SEND, INPUT))
    assert told["run"]["status"] == "COMPENSATED"
    assert [(each["run"]["status"], each["run"]["undoAttempts"]) for each in told["steps"]] == [
        ("UNDONE", 1),
        ("FAILED", 0),
    ]
    assert told["steps"][1]["run"]["code"] == "SERVICE_REFUSED"


@in_virtual_time
async def test_a_saga_that_was_not_waited_for_is_told_as_far_as_it_was() -> None:
    later = SEND.replace("input: $input", "input: $input, mode: ASYNC")
    wire = ScriptedWire(otherwise=after(1.0, answer({"text": "x"})))
    async with depot(post=wire) as gateway:
        told = saga_of(await asked(gateway, later, INPUT))
    assert (told["run"]["status"], told["run"]["milliseconds"]) == ("RUNNING", None)
    assert told["steps"][1]["run"] == {
        "status": "PENDING",
        "attempts": 0,
        "undoAttempts": 0,
        "code": None,
        "startMilliseconds": None,
        "milliseconds": None,
    }


@in_virtual_time
async def test_a_saga_that_its_key_had_begun_before_says_so() -> None:
    async with depot() as gateway:
        told = [saga_of(await asked(gateway, SEND, {**INPUT, "key": "k"})) for _ in range(2)]
    assert [each["run"]["isNew"] for each in told] == [True, False]
    assert told[0]["run"]["id"] == told[1]["run"]["id"]


@in_virtual_time
async def test_of_a_saga_that_was_not_begun_nothing_is_told() -> None:
    other = {"input": {"name": "coffee", "token": "t"}, "key": "k"}
    async with depot() as gateway:
        await asked(gateway, SEND, {**INPUT, "key": "k"})
        told = saga_of(await asked(gateway, SEND, other))
    assert (told["run"], [each["run"] for each in told["steps"]]) == (None, [None, None])


# -- what cannot be explained ------------------------------------------------------------------------------------------


@in_virtual_time
async def test_variables_that_do_not_fit_are_execution_s_to_tell_and_it_is_explained_for_all_values() -> None:
    async with depot() as gateway:
        found = await asked(gateway, SEND, {"input": 7})
    assert (found.status, found.codes) == (400, ["BAD_USER_INPUT"])
    assert explanation(found)["fields"][0]["arguments"]["input"] == "$input"


@in_virtual_time
async def test_a_variable_that_the_operation_does_not_have_is_passed_by_as_it_is_when_it_runs() -> None:
    text = "query ($n: Int!) { parcels(first: $n) { totalCount } }"
    async with depot() as gateway:
        found = await asked(gateway, text, {"n": 1, "stranger": 2})
    assert (found.errors, explanation(found)["fields"][0]["arguments"]) == ([], {"first": "1"})


@in_virtual_time
async def test_what_is_too_large_to_be_explained_is_refused_before_anything_runs() -> None:
    each = " ".join(f"a{n}: weight" for n in range(100))
    many = " ".join(f"p{n}: parcels {{ edges {{ node {{ ...F }} }} }}" for n in range(100))
    wire = ScriptedWire(otherwise=said)
    generous = settings(operation={"bounds": {"aliases": 1_000, "root_fields": 1_000, "fields": 100_000}})
    async with depot(store=wire, configured=generous) as gateway:
        found = await asked(gateway, f"{{ {many} }} fragment F on Parcel {{ {each} }}")
    assert (found.status, found.codes, wire.requests) == (400, ["BAD_REQUEST"], [])
    assert "explain a part of it" in found.errors[0]["message"]


@in_virtual_time
async def test_the_deadline_that_is_told_is_the_one_that_was_granted() -> None:
    async with depot() as gateway:
        headers = {"authorization": "Bearer staff", "x-request-timeout-ms": "700"}
        told = explanation(await asked(gateway, "{ road }", headers=headers))
    assert told["deadline"] == 0.7


# -- who did not ask ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("explain", "written"), [(False, "0 places to write"), (True, "2 places to write")])
@in_virtual_time
async def test_nothing_is_written_down_for_who_did_not_ask(explain: bool, written: str) -> None:
    async with depot() as gateway:
        found = await asked(gateway, "{ written }", explain=explain)
    assert found.data == {"written": written}
