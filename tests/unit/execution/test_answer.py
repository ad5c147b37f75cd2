"""One operation from text to result: refusals, masking, limits."""

from __future__ import annotations

import asyncio
from io import StringIO
from typing import Any

import orjson
import pytest

from gateway.telemetry import Telemetry, json_log
from gateway.testing import ScriptedWire, in_virtual_time
from tests.unit.graph.hosting import FakeHost, sent
from tests.unit.graph.shop import CUSTOMER, DSN, STAFF, shop

# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{ hello", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { hello } query B { hello }", "BAD_REQUEST"),
        ("fragment F on Query { hello }", "GRAPHQL_VALIDATION_FAILED"),
    ],
    ids=["syntax", "validation", "several operations", "only fragments"],
)
@in_virtual_time
async def test_what_is_not_executed_has_no_data_member(text: str, code: str) -> None:
    async with shop() as gateway:
        found = await gateway.execute(text)
    assert (found.status, found.codes) == (400, [code])
    assert "data" not in found.json


@in_virtual_time
async def test_an_unknown_operation_name_says_which_there_are() -> None:
    async with shop() as gateway:
        found = await gateway.execute("query A { hello }", operation_name="B")
        assert (found.status, found.codes) == (400, ["BAD_REQUEST"])
        assert "(A)" in found.errors[0]["message"]
        assert (await gateway.execute("query A { hello } query B { whoami }", operation_name="B")).data == {
            "whoami": "public/anonymous"
        }


@pytest.mark.parametrize(
    "variables",
    [{}, {"b": None}, {"b": 1}, {"b": {"lines": "x"}}, {"b": {"lines": [], "more": 1}}, {"b": {"lines": [{}]}}],
    ids=["missing", "null", "number", "text for a list", "unknown member", "missing member"],
)
@in_virtual_time
async def test_variables_that_do_not_fit_their_types_are_refused_before_anything_runs(variables: Any) -> None:
    async with shop() as gateway:
        found = await gateway.execute("query($b: BasketInput!) { basket(basket: $b) }", variables)
    assert (found.status, set(found.codes)) == (400, {"BAD_USER_INPUT"})
    assert "data" not in found.json


@in_virtual_time
async def test_an_argument_that_its_variable_leaves_out_is_the_client_s_mistake_and_not_ours() -> None:
    async with shop() as gateway:
        found = await gateway.execute("query($k: [String!]!) { products(keys: $k) { sku } }", {"k": [None]})
    assert found.codes == ["BAD_USER_INPUT"]


@in_virtual_time
async def test_a_mutation_by_get_is_refused_and_a_query_is_not() -> None:
    async with shop() as gateway:
        refused = await gateway.request("GET", "/graphql", query={"query": "mutation { touch }"})
        answered = await gateway.request("GET", "/graphql", query={"query": "{ hello }"})
    assert (refused.status, refused.codes, refused.headers["allow"]) == (405, ["BAD_REQUEST"], "POST")
    assert answered.data == {"hello": "hello you"}


# -- masking -----------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_exception_of_ours_is_masked_and_its_trace_id_finds_it_in_the_log() -> None:
    log = StringIO()
    async with shop(telemetry=Telemetry(log=json_log(log))) as gateway:
        found = await gateway.execute("{ hello boom }")
    assert found.data == {"hello": "hello you", "boom": None}
    (error,) = found.errors
    assert error["message"] == "internal error: the trace id finds it in the logs"
    assert error["path"] == ["boom"]
    assert b"hunter2" not in found.body
    lines = [orjson.loads(line) for line in log.getvalue().splitlines()]
    (line,) = [line for line in lines if line["event"] == "internal error"]
    assert line["traceId"] == error["extensions"]["traceId"]
    assert len(line["traceId"]) == 32
    assert DSN in line["exception"][0]["exc_value"]
    assert all("locals" not in frame for frame in line["exception"][0]["frames"])


@in_virtual_time
async def test_a_value_of_ours_that_does_not_fit_its_type_is_our_bug_and_is_masked() -> None:
    async with shop() as gateway:
        found = await gateway.execute("{ tooBig }")
    assert (found.data, found.codes) == ({"tooBig": None}, ["INTERNAL_SERVER_ERROR"])
    assert b"3000000000" not in found.body


@in_virtual_time
async def test_an_author_s_graphql_error_keeps_its_text_and_extensions() -> None:
    async with shop() as gateway:
        found = await gateway.execute("{ refused }")
    (error,) = found.errors
    assert error["message"] == "the author's words"
    assert error["extensions"] == {"code": "OUT_OF_SEASON", "until": "May", "retryable": False}


@pytest.mark.parametrize(
    ("headers", "code"), [({}, "UNAUTHENTICATED"), (CUSTOMER, "FORBIDDEN"), (STAFF, None)], ids=["no", "known", "may"]
)
@in_virtual_time
async def test_a_scope_is_required_by_name(headers: dict[str, str], code: str | None) -> None:
    async with shop() as gateway:
        found = await gateway.execute("{ guarded }", headers=headers)
    assert found.codes == ([] if code is None else [code])


# -- the key in the header ---------------------------------------------------------------------------------------------

ONE = 'sendParcel(input: {name: "tea"}) { __typename }'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{ __typename }", "this operation has 0"),
        (f"mutation {{ a: {ONE} b: {ONE} }}", "this operation has 2"),
        (f"mutation {{ ...F a: {ONE} }} fragment F on Mutation {{ b: {ONE} }}", "this operation has 2"),
    ],
    ids=["none", "two", "two, one in a fragment"],
)
@in_virtual_time
async def test_a_key_in_the_header_goes_with_exactly_one_saga(text: str, message: str) -> None:
    host = FakeHost()
    found = await sent(text, host, idempotency_key="k")
    assert (found.status, found.code, host.begun) == (400, "BAD_REQUEST", [])
    assert message in found.errors[0]["message"]


@in_virtual_time
async def test_two_sagas_with_keys_of_their_own_are_both_begun_in_order() -> None:
    host = FakeHost()
    both = " ".join(
        f'{name}: sendParcel(input: {{name: "{name}"}}, idempotencyKey: "{name}") {{ __typename }}' for name in "ab"
    )
    found = await sent(f"mutation {{ {both} }}", host)
    assert found.errors == []
    assert [begun["key"] for begun in host.begun] == ["a", "b"]


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "seconds"), [(None, 10.0), ("200", 0.2), ("30000", 30.0), ("999999999", 50.0)], ids=str
)
@in_virtual_time
async def test_the_client_s_deadline_is_kept_within_bounds(asked: str | None, seconds: float) -> None:
    headers = {} if asked is None else {"x-request-timeout-ms": asked}
    operation = {"query_deadline": "10s", "max_deadline": "50s"}
    async with shop(operation=operation) as gateway:
        found = await gateway.execute("{ mine again: mine }", headers=headers)
        assert asyncio.get_running_loop().time() == pytest.approx(seconds)
    assert found.codes == ["DEADLINE_EXCEEDED"] * 2


@pytest.mark.parametrize("asked", ["0", "-1", "1.5", "soon", "1e3", "²", "9" * 5_000], ids=lambda text: text[:8])
@in_virtual_time
async def test_a_deadline_that_is_no_number_of_milliseconds_is_refused(asked: str) -> None:
    async with shop() as gateway:
        found = await gateway.execute("{ hello }", headers={"x-request-timeout-ms": asked})
    assert (found.status, found.codes) == (400, ["BAD_REQUEST"])


@in_virtual_time
async def test_beyond_the_limit_of_operations_and_without_a_queue_the_next_is_refused_at_once() -> None:
    async with shop(server={"max_operations": 2}, overload={"queue": 0}) as gateway:
        running = [asyncio.ensure_future(gateway.execute("{ mine }")) for _ in range(2)]
        await asyncio.sleep(0.1)
        refused = await gateway.execute("{ hello }")
        assert (refused.status, refused.codes) == (503, ["OVERLOADED"])
        assert refused.headers["retry-after"] in {"1", "2", "3", "4"}
        assert refused.errors[0]["extensions"]["retryable"] is True
        await asyncio.gather(*running)
        assert (await gateway.execute("{ hello }")).status == 200
        assert gateway.parts.admission.in_flight == 0


@in_virtual_time
async def test_while_draining_new_operations_are_refused_and_running_ones_end() -> None:
    async with shop() as gateway:
        running = asyncio.ensure_future(gateway.execute("{ slow: plain }", headers={"x-request-timeout-ms": "500"}))
        await asyncio.sleep(0.1)
        gateway.parts.admission.is_draining = True
        refused = await gateway.execute("{ hello }")
        ready = await gateway.request("GET", "/readyz")
        assert (refused.status, refused.codes, ready.status) == (503, ["DRAINING"], 503)
        assert (await running).codes == ["DEADLINE_EXCEEDED"]


@in_virtual_time
async def test_a_gateway_that_announces_that_it_leaves_is_not_ready_and_answers_as_before() -> None:
    async with shop() as gateway:
        assert (await gateway.request("GET", "/readyz")).status == 200
        gateway.parts.announce()
        ready = await gateway.request("GET", "/readyz")
        assert (ready.status, ready.json["ready"], (await gateway.request("GET", "/livez")).status) == (503, False, 200)
        assert (await gateway.execute("{ hello }")).status == 200
        assert repr(gateway.parts.admission) == "<Admission 0/512 in flight, leaving>"
        gateway.parts.leave()
        assert (await gateway.execute("{ hello }")).codes == ["DRAINING"]


@in_virtual_time
async def test_a_refusal_of_every_kind_gives_its_permit_back() -> None:
    async with shop(wires={"catalog": ScriptedWire(otherwise=lambda _: RuntimeError(DSN))}) as gateway:
        for text in ("{", "{ nothing }", "{ boom }", '{ must(key: "x") { sku } }'):
            await gateway.execute(text)
        assert repr(gateway.parts.admission) == "<Admission 0/512 in flight>"


@pytest.mark.parametrize("depth", [20, 60, 90, 120, 150, 200])
@in_virtual_time
async def test_a_deep_document_is_answered_or_refused_and_never_an_internal_error(depth: int) -> None:
    text = '{ __type(name: "Query") { fields { type ' + "{ ofType " * depth + "{ name }" + " }" * (depth + 3)
    async with shop() as gateway:
        found = await gateway.execute(text)
    assert (found.status, found.codes) in [
        (200, []),
        (400, ["GRAPHQL_PARSE_FAILED"]),
        (400, ["GRAPHQL_VALIDATION_FAILED"]),
    ]


@pytest.mark.parametrize("depth", [10, 100, 500, 900, 5_000])
@in_virtual_time
async def test_deep_variables_are_refused_and_never_an_internal_error(depth: int) -> None:
    body = b'{"query": "query($k: [String!]!) { products(keys: $k) { sku } }", "variables": {"k": ' + b"[" * depth
    async with shop() as gateway:
        found = await gateway.request(
            "POST", "/graphql", body=body + b"]" * depth + b"}}", headers={"content-type": "application/json"}
        )
    assert found.codes[0] in {"BAD_USER_INPUT", "BAD_REQUEST"}
