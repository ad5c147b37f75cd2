"""A saga in GraphQL: every way it can stand is data; which key counts; what the input's hash covers."""

from typing import Any

import pytest

from gateway.clock import Seconds
from gateway.errors import SagasUnavailable
from gateway.identity import Identity
from gateway.sagas import Completed, Failed, IdempotencyConflict, NeedsAttention, Owner, Rejected, SagaState
from gateway.testing import in_virtual_time

from .hosting import FakeHost, Parcel, SendInput, SendParcel, graph, sent, view

PAYLOAD = """{
    __typename
    ... on SagaOutcome { sagaId status }
    ... on SendParcelCompleted { parcel { name } }
    ... on SagaRejected { code message }
    ... on SagaFailed { code undone }
    ... on SagaNeedsAttention { code }
    ... on IdempotencyConflict { message } }"""
SEND = f'mutation {{ sendParcel(input: {{name: "tea"}}, idempotencyKey: "k1") {PAYLOAD} }}'


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (
            view(SagaState.COMPLETED, Completed(), result=Parcel(name="tea")),
            {"__typename": "SendParcelCompleted", "status": "COMPLETED", "parcel": {"name": "tea"}},
        ),
        (view(SagaState.RUNNING), {"__typename": "SagaAccepted", "status": "RUNNING"}),
        (view(SagaState.FORWARD_ONLY), {"__typename": "SagaAccepted", "status": "FORWARD_ONLY"}),
        (
            view(SagaState.COMPENSATED, Rejected("NO", "Not today.")),
            {"__typename": "SagaRejected", "status": "COMPENSATED", "code": "NO", "message": "Not today."},
        ),
        (
            view(SagaState.COMPENSATED, Failed("SERVICE_TIMEOUT", ("label",))),
            {"__typename": "SagaFailed", "status": "COMPENSATED", "code": "SERVICE_TIMEOUT", "undone": ["label"]},
        ),
        (
            view(SagaState.NEEDS_ATTENTION, NeedsAttention("UNDO_STUCK")),
            {"__typename": "SagaNeedsAttention", "status": "NEEDS_ATTENTION", "code": "UNDO_STUCK"},
        ),
    ],
    ids=["completed", "running", "forward only", "rejected", "failed", "needs attention"],
)
@in_virtual_time
async def test_however_a_saga_stands_the_client_gets_data(seen: Any, expected: dict[str, Any]) -> None:
    found = await sent(SEND, FakeHost(seen))
    assert (found.errors, found.status) == ([], 200)
    assert found.data == {"sendParcel": {"sagaId": "s1", **expected}}


@in_virtual_time
async def test_a_key_used_for_another_input_is_a_conflict_and_data() -> None:
    found = await sent(SEND, FakeHost(view(SagaState.COMPLETED), ticket=IdempotencyConflict("s1")))
    assert found.errors == []
    assert found.data is not None
    assert found.data["sendParcel"] == {
        "__typename": "IdempotencyConflict",
        "sagaId": "s1",
        "status": "COMPLETED",
        "message": "this idempotency key was used with another input: use a new key for a new request",
    }


@in_virtual_time
async def test_where_nothing_could_be_begun_it_is_an_error_that_says_so() -> None:
    found = await sent(SEND, FakeHost(ticket=SagasUnavailable("the journal cannot be written")))
    assert (found.data, found.code) == (None, "SAGAS_UNAVAILABLE")


@in_virtual_time
async def test_without_a_host_it_says_what_to_set() -> None:
    found = await sent(SEND, None)
    assert found.errors[0]["message"] == "this gateway runs no sagas: set [sagas] in gateway.toml"


@in_virtual_time
async def test_the_host_is_told_the_owner_the_key_the_input_and_the_trace() -> None:
    host = FakeHost()
    await sent(SEND, host, identity=Identity("acme", "ann", frozenset({"x"})))
    (begun,) = host.begun
    assert (begun["saga"], begun["owner"], begun["key"]) == (SendParcel, Owner("acme", "ann"), "k1")
    assert begun["input"] == SendInput(name="tea")
    assert begun["trace"]["traceparent"].startswith("00-")


@pytest.mark.parametrize(("asked", "waited"), [(None, 10.0), (3.0, 2.9), (0.05, 0.0)], ids=["usual", "soon", "at once"])
@in_virtual_time
async def test_the_wait_ends_before_the_deadline(asked: float | None, waited: float) -> None:
    host = FakeHost()
    await sent(SEND, host, timeout=None if asked is None else Seconds(asked))
    assert host.waits == [pytest.approx(waited)]


@in_virtual_time
async def test_a_broken_rule_begins_nothing() -> None:
    host = FakeHost()
    found = await sent(SEND.replace('"tea"', '"teapot"'), host)
    assert found.code == "BAD_USER_INPUT"
    assert found.errors[0]["extensions"]["violations"][0]["path"] == ["input", "name"]
    assert host.begun == []


# -- which key ---------------------------------------------------------------------------------------------------------


def send(*, key: str | None = None, field: str = "sendParcel") -> str:
    argument = "" if key is None else f', idempotencyKey: "{key}"'
    return f'mutation {{ {field}(input: {{name: "tea"}}{argument}) {{ __typename }} }}'


@pytest.mark.parametrize(
    ("argument", "header", "chosen"),
    [("a", None, "a"), (None, "h", "h"), ("same", "same", "same"), ("x" * 255, None, "x" * 255)],
    ids=["argument", "header", "both alike", "the longest"],
)
@in_virtual_time
async def test_argument_or_header_is_the_key(argument: str | None, header: str | None, chosen: str) -> None:
    host = FakeHost()
    found = await sent(send(key=argument), host, idempotency_key=header)
    assert found.errors == []
    assert [begun["key"] for begun in host.begun] == [chosen]


@pytest.mark.parametrize(
    ("argument", "header", "code"),
    [
        ("a", "h", "BAD_REQUEST"),
        (None, None, "BAD_USER_INPUT"),
        ("", None, "BAD_USER_INPUT"),
        ("two words", None, "BAD_USER_INPUT"),
        ("é", None, "BAD_USER_INPUT"),
        (None, "", "BAD_USER_INPUT"),
        (None, "two words", "BAD_USER_INPUT"),
        (None, "x" * 256, "BAD_USER_INPUT"),
        ("x" * 256, None, "BAD_USER_INPUT"),
    ],
    ids=["differing", "missing", "empty", "space", "accent", "empty header", "space in it", "too long", "long"],
)
@in_virtual_time
async def test_a_key_that_cannot_count_begins_nothing(argument: str | None, header: str | None, code: str) -> None:
    host = FakeHost()
    found = await sent(send(key=argument), host, idempotency_key=header)
    assert found.code == code
    assert host.begun == []


@in_virtual_time
async def test_a_missing_key_is_told_with_its_remedy() -> None:
    found = await sent(send(), FakeHost())
    assert "sendParcel needs an idempotency key" in found.errors[0]["message"]
    assert found.errors[0]["extensions"]["violations"][0]["path"] == ["idempotencyKey"]


@in_virtual_time
async def test_an_optional_key_may_be_left_out() -> None:
    host = FakeHost()
    await sent(send(field="leaveNote"), host)
    assert [begun["key"] for begun in host.begun] == [None]


# -- the hash of the input ---------------------------------------------------------------------------------------------


async def hashed(text: str, variables: dict[str, Any] | None = None) -> str:
    host = FakeHost()
    found = await sent(text, host, variables=variables or {}, idempotency_key="k")
    assert found.errors == []
    digest: str = host.begun[0]["hash"]
    return digest


INLINE = 'mutation { sendParcel(input: {name: "tea", count: 2}) { __typename } }'


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        (INLINE, None),
        ('mutation { sendParcel(input: {count: 2, name: "tea"}) { __typename } }', None),
        (
            "mutation($i: SendInput!) { sendParcel(input: $i) { __typename } }",
            {"i": {"count": 2, "name": "tea"}},
        ),
        (
            "mutation($n: String!, $c: Int!) { sendParcel(input: {name: $n, count: $c}) { __typename } }",
            {"n": "tea", "c": 2},
        ),
        ('mutation($c: Int! = 2) { sendParcel(input: {name: "tea", count: $c}) { __typename } }', None),
        (
            'mutation($i: SendInput! = {name: "tea", count: 2}) { it: sendParcel(input: $i) { __typename } }',
            None,
        ),
    ],
    ids=["inline", "another order", "variable", "variables inside", "a variable's default", "default of all"],
)
@in_virtual_time
async def test_the_same_input_has_the_same_hash_however_it_is_written(
    text: str, variables: dict[str, Any] | None
) -> None:
    assert await hashed(text, variables) == await hashed(INLINE)


@pytest.mark.parametrize(
    "text",
    [
        'mutation { sendParcel(input: {name: "tea"}) { __typename } }',
        'mutation { sendParcel(input: {name: "tea", count: 1}) { __typename } }',
        'mutation { sendParcel(input: {name: "tea", count: 2, note: null}) { __typename } }',
        'mutation { sendParcel(input: {name: "Tea", count: 2}) { __typename } }',
    ],
    ids=["left out", "another value", "null", "another case"],
)
@in_virtual_time
async def test_another_input_has_another_hash(text: str) -> None:
    assert await hashed(text) != await hashed(INLINE)


@in_virtual_time
async def test_the_hash_covers_what_was_provided_and_no_default_of_the_schema() -> None:
    import hashlib

    provided = hashlib.sha256(b'{"name":"tea"}').hexdigest()
    assert await hashed('mutation { sendParcel(input: {name: "tea"}) { __typename } }') == provided


@in_virtual_time
async def test_a_variable_that_was_not_sent_is_not_provided() -> None:
    text = 'mutation($n: String) { sendParcel(input: {name: "tea", note: $n}) { __typename } }'
    assert await hashed(text) == await hashed('mutation { sendParcel(input: {name: "tea"}) { __typename } }')


# -- who may see it ----------------------------------------------------------------------------------------------------

ASK = '{ saga(id: "s1") { id name status steps { name status attempts startedAt endedAt } createdAt } }'


@pytest.mark.parametrize(
    ("identity", "may"),
    [
        (Identity("acme", "ann"), True),
        (Identity("acme", "sup", frozenset({"support"})), True),
        (Identity("other", "sup", frozenset({"support"})), True),
        (Identity("acme", "bob", frozenset({"customer"})), False),
        (Identity("other", "ann"), False),
        (Identity("public", "anonymous", is_anonymous=True), False),
    ],
    ids=["owner", "support", "support of another tenant", "another", "namesake elsewhere", "anonymous"],
)
@in_virtual_time
async def test_a_saga_is_for_whoever_began_it_and_for_support(identity: Identity, may: bool) -> None:
    found = await sent(ASK, FakeHost(view(SagaState.RUNNING, owner=Owner("acme", "ann"))), identity=identity)
    assert found.code == (None if may else "SAGA_NOT_FOUND")
    assert (found.data or {})["saga"] == (None if not may else (found.data or {})["saga"])


@in_virtual_time
async def test_not_yours_cannot_be_told_from_not_there() -> None:
    host = FakeHost(view(SagaState.RUNNING, owner=Owner("acme", "ann")))
    theirs, missing = await sent(ASK, host), await sent(ASK.replace("s1", "s2"), host)
    assert [error["message"] for error in theirs.errors] == [error["message"] for error in missing.errors]
    assert theirs.data == missing.data == {"saga": None}


@in_virtual_time
async def test_its_owner_reads_how_far_it_is() -> None:
    found = await sent(ASK, FakeHost())
    assert found.data is not None
    assert found.data["saga"] == {
        "id": "s1",
        "name": "SendParcel",
        "status": "RUNNING",
        "steps": [
            {
                "name": "label",
                "status": "DONE",
                "attempts": 2,
                "startedAt": "2025-06-15T15:06:40+00:00",
                "endedAt": None,
            }
        ],
        "createdAt": "2025-06-15T15:06:40+00:00",
    }


def test_a_graph_knows_its_sagas_by_the_field_that_begins_them() -> None:
    assert {name: definition.name for name, definition in graph.sagas.items()} == {
        "sendParcel": "SendParcel",
        "leaveNote": "LeaveNote",
    }
    assert "saga SendParcel v1: label" in graph.summary()
