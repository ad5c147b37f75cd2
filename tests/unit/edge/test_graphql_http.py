"""GraphQL over HTTP: methods, bodies, headers, statuses; and what happens when the client leaves."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest

from gateway.clock import Seconds
from gateway.edge import Compression, GraphQLEndpoint, Requests, Responses
from gateway.edge.leaving import EXTENSION, ClientGone, Left, watching, while_connected
from gateway.edge.parameters import WHOLE_BODY, from_body, is_whole
from gateway.errors import GatewayError
from gateway.execution import GraphQLRequest, GraphQLResult
from gateway.identity import ANONYMOUS, Identity
from gateway.testing import Answer, ScriptedWire, hang, in_virtual_time
from gateway.testing.client import answer_of, scope_of_request
from tests.unit.graph.shop import CUSTOMER, DSN, reviews_answers, shop

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
POSTED = {"content-type": JSON, "accept": GRAPHQL}


class Anybody:
    async def authenticate(self, headers: Mapping[str, str]) -> Identity:
        return ANONYMOUS


class Broken:
    async def authenticate(self, headers: Mapping[str, str]) -> Identity:
        raise ConnectionError(DSN)


class Echo:
    """An engine that answers with `data`, and remembers the requests."""

    def __init__(self, data: Mapping[str, Any] | None = None, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        self.data = {"ok": True} if data is None and not errors else data
        self.errors = errors
        self.requests: list[GraphQLRequest] = []
        self.refused: list[Exception] = []

    async def answer(self, request: GraphQLRequest) -> GraphQLResult:
        self.requests.append(request)
        return GraphQLResult(tree=self.data, errors=self.errors)

    def refuse(self, error: Exception) -> GraphQLResult:
        self.refused.append(error)
        known = error if isinstance(error, GatewayError) else GatewayError("masked")
        entry = {"message": known.message, "extensions": known.extensions()}
        return GraphQLResult(errors=[entry], is_request_error=True, status=known.status)


async def ask(
    body: bytes | list[bytes] = b'{"query": "{ hello }"}',
    *,
    method: str = "POST",
    query: str = "",
    headers: Mapping[str, str] = POSTED,
    engine: Echo | None = None,
    max_body: int = 100,
    authenticator: Any = None,
    forwarded: frozenset[str] = frozenset(),
    responses: Responses | None = None,
) -> Answer:
    endpoint = GraphQLEndpoint(
        engine or Echo(),
        authenticator=authenticator or Anybody(),
        max_body=max_body,
        requests=Requests(forwards=forwarded.__contains__),
        responses=responses or Responses(),
    )
    pieces = [body] if isinstance(body, bytes) else body
    return await answer_of(endpoint, scope_of_request(method, "/graphql", query=query, headers=headers), pieces)


# -- what is taken -----------------------------------------------------------------------------------------------------


async def test_a_post_is_taken_with_everything_in_it() -> None:
    engine = Echo()
    body = {"query": "q", "operationName": "n", "variables": {"a": [1]}, "extensions": {"x": 1}}
    headers = {**POSTED, "idempotency-key": "k", "x-request-timeout-ms": "1500", "traceparent": "t", "cookie": "c"}
    found = await ask(
        orjson.dumps(body), headers=headers, engine=engine, forwarded=frozenset({"cookie"}), max_body=1000
    )
    (request,) = engine.requests
    assert found.json == {"data": {"ok": True}}
    assert (request.text, request.operation_name, request.variables) == ("q", "n", {"a": [1]})
    assert (request.timeout, request.idempotency_key, request.only_queries) == (1.5, "k", False)
    assert (request.headers, request.trace) == ((("cookie", "c"),), {"traceparent": "t"})


async def test_a_get_is_taken_with_json_in_its_parameters() -> None:
    engine = Echo()
    await ask(
        b"",
        method="GET",
        query="query=%7Bhello%7D&variables=%7B%22a%22%3A1%7D&operationName=n",
        headers={},
        engine=engine,
    )
    (request,) = engine.requests
    assert (request.text, request.variables, request.operation_name) == ("{hello}", {"a": 1}, "n")
    assert request.only_queries


@pytest.mark.parametrize(
    "content_type",
    [
        JSON,
        "Application/JSON",
        f"{JSON}; charset=utf-8",
        f"{JSON};charset=UTF-8",
        f'{JSON} ; Charset="utf-8"',
        f"{JSON}; charset=utf8; profile=x",
    ],
)
async def test_json_is_taken_however_it_is_written(content_type: str) -> None:
    assert (await ask(headers={"content-type": content_type})).status == 200


@pytest.mark.parametrize("name", ["operationName", "variables", "extensions"])
async def test_null_is_as_good_as_nothing(name: str) -> None:
    assert (await ask(orjson.dumps({"query": "q", name: None}))).status == 200


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b'{"query": "{ hello }"} trailing', "the body is not JSON"),
        (b'{"query": "\xff"}', "the body is not JSON"),
        (b'{"query": "\\ud800"}', "the body is not JSON"),
        (b'{"query": "q", "variables": {"a": NaN}}', "the body is not JSON"),
        (b'{"query": "q", "variables": {"a": 1e999}}', "the body is not JSON"),
        ('{"query": "q"}'.encode("utf-16"), "the body is not JSON"),
        (b'\xef\xbb\xbf{"query": "q"}', "the body is not JSON"),
        (b"[" * 90, "the body is not JSON"),
        (b"null", "the body must be a JSON object"),
        (b'"{ hello }"', "the body must be a JSON object"),
        (b'[{"query": "{ hello }"}]', "batches of operations are not taken"),
        (b"{}", "the request has no query"),
        (b'{"query": null}', "the request has no query"),
        (b'{"query": ""}', "the request has no query"),
        (b'{"query": "  "}', "the request has no query"),
        (b'{"query": 1}', "the request has no query"),
        (b'{"query": "q", "variables": []}', "variables must be an object"),
        (b'{"query": "q", "variables": "{}"}', "variables must be an object"),
        (b'{"query": "q", "variables": 0}', "variables must be an object"),
        (b'{"query": "q", "operationName": 1}', "operationName must be a string"),
        (b'{"query": "q", "operationName": {}}', "operationName must be a string"),
        (b'{"query": "q", "extensions": "x"}', "extensions must be an object"),
    ],
)
async def test_a_body_that_is_no_request_is_refused_with_the_reason(body: bytes, says: str) -> None:
    engine = Echo()
    found = await ask(body, engine=engine)
    assert (found.status, found.codes, engine.requests) == (400, ["BAD_REQUEST"], [])
    assert says in found.errors[0]["message"]
    assert "data" not in found.json


@pytest.mark.parametrize(
    "query",
    [
        "",
        "variables=%7B%7D",
        "query=q&variables=x",
        "query=q&variables=%5B%5D",
        "query=q&variables=%7B%22a%22%3ANaN%7D",
        "query=q&query=p",
        "query=%FF",
        "query=q&extensions=%C3%28",
        "&".join(["query=q", *(f"x{each}=1" for each in range(20))]),
    ],
)
async def test_parameters_that_are_no_request_are_refused(query: str) -> None:
    found = await ask(b"", method="GET", query=query, headers={})
    assert (found.status, found.codes) == (400, ["BAD_REQUEST"])


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "BREW"])
async def test_other_methods_are_refused_and_told_which_there_are(method: str) -> None:
    found = await ask(method=method)
    assert (found.status, found.headers["allow"]) == (405, "GET, HEAD, POST, OPTIONS")


async def test_options_are_told_without_executing_anything() -> None:
    engine = Echo()
    found = await ask(method="OPTIONS", engine=engine)
    assert (found.status, found.body, found.headers["allow"]) == (204, b"", "GET, HEAD, POST, OPTIONS")
    assert engine.requests == []


async def test_a_head_is_answered_as_a_get_without_its_body() -> None:
    engine = Echo()
    read = await ask(b"", method="GET", query="query=q", headers={})
    told = await ask(b"", method="HEAD", query="query=q", headers={}, engine=engine)
    assert (told.status, told.headers, told.body) == (read.status, read.headers, b"")
    assert engine.requests[0].only_queries


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "text/plain;charset=UTF-8",
        "text/plain; x=application/json",
        "application/graphql",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "application/graphql-response+json",
        f"{JSON}, text/plain",
        f"text/plain, {JSON}",
        f"{JSON}; charset=utf-16",
        f"{JSON}; charset=iso-8859-1",
        f"{JSON}; charset=",
        "json",
    ],
)
async def test_other_media_types_are_refused(content_type: str) -> None:
    found = await ask(headers={"content-type": content_type} if content_type else {})
    assert (found.status, found.codes) == (415, ["BAD_REQUEST"])


async def test_a_client_that_takes_no_answer_of_ours_is_told_in_json() -> None:
    found = await ask(headers={**POSTED, "accept": "text/html"})
    assert (found.status, found.headers["content-type"]) == (406, f"{JSON}; charset=utf-8")


@pytest.mark.parametrize(
    ("pieces", "headers"),
    [
        ([b"x" * 101], {}),
        ([b"x" * 60, b"x" * 60, b"never read"], {}),
        ([], {"content-length": "101"}),
        ([], {"content-length": "9" * 5_000}),
        ([b"x" * 101], {"content-length": "5"}),
        ([b"x" * 101], {"content-length": "\xb2"}),
    ],
    ids=["at once", "in pieces", "declared", "declared absurdly", "declared too small", "declared as no number"],
)
async def test_a_body_beyond_the_limit_is_refused(pieces: list[bytes], headers: dict[str, str]) -> None:
    found = await ask(pieces, headers={**POSTED, **headers})
    assert (found.status, found.codes) == (413, ["PAYLOAD_TOO_LARGE"])


async def test_a_body_is_not_read_past_the_limit() -> None:
    pieces = [b"x" * 60, b"x" * 60, b"never read"]

    async def receive() -> Any:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": True}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    endpoint = GraphQLEndpoint(Echo(), authenticator=Anybody(), max_body=100)
    await endpoint(scope_of_request("POST", "/graphql", headers=POSTED), receive, send)
    assert (sent[0]["status"], pieces) == (413, [b"never read"])


def held_back(*pieces: bytes) -> Any:
    """A client that sends these, and then nothing for an hour."""
    left = list(pieces)

    async def receive() -> Any:
        if not left:
            await asyncio.sleep(3600)
        return {"type": "http.request", "body": left.pop(0), "more_body": True}

    return receive


@pytest.mark.parametrize("pieces", [(), (b'{"query": ',)])
@in_virtual_time
async def test_a_body_that_does_not_come_is_not_waited_for(pieces: tuple[bytes, ...]) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    endpoint = GraphQLEndpoint(Echo(), authenticator=Anybody(), max_body=100, body_within=Seconds(2))
    began = asyncio.get_running_loop().time()
    await endpoint(scope_of_request("POST", "/graphql", headers=POSTED), held_back(*pieces), send)
    assert asyncio.get_running_loop().time() - began == 2
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert orjson.loads(sent[1]["body"])["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


@in_virtual_time
async def test_a_body_that_is_here_starts_no_clock() -> None:
    async def receive() -> Any:
        await asyncio.sleep(60)
        return {"type": "http.request", "body": b'{"query": "q"}'}

    scope = {"extensions": {WHOLE_BODY: lambda: True}}
    headers = {"content-type": JSON}
    assert await from_body(scope, receive, headers, limit=100, within=Seconds(2)) == {"query": "q"}


@pytest.mark.parametrize("is_here", [True, False])
async def test_the_server_is_asked_whether_the_body_is_here(is_here: bool) -> None:
    assert is_whole({"extensions": {WHOLE_BODY: lambda: is_here}}) is is_here
    assert not is_whole({})


async def test_a_body_of_exactly_the_limit_is_taken() -> None:
    body = b'{"query": "q"}'
    assert (await ask([body[:5], body[5:]], max_body=len(body))).status == 200


# -- how it is answered ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [GRAPHQL, JSON])
async def test_every_answer_says_that_it_is_not_to_be_kept_and_what_it_depends_on(accept: str) -> None:
    headers = (await ask(headers={**POSTED, "accept": accept})).headers
    assert headers["content-type"] == f"{accept}; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["vary"] == "accept, authorization"
    assert headers["x-content-type-options"] == "nosniff"


ERROR = {"message": "no", "extensions": {"code": "FORBIDDEN"}}


@pytest.mark.parametrize(
    ("engine", "accept", "status"),
    [
        (Echo({"a": None}, [ERROR]), GRAPHQL, 294),
        (Echo({"a": None}, [ERROR]), JSON, 200),
        (Echo(None, [ERROR]), GRAPHQL, 200),
        (Echo({"a": 1}), GRAPHQL, 200),
    ],
    ids=["partial", "to an old client", "no data", "all of it"],
)
async def test_data_with_errors_beside_it_has_the_status_of_the_settings(
    engine: Echo, accept: str, status: int
) -> None:
    headers = {**POSTED, "accept": accept}
    assert (await ask(headers=headers, engine=engine, responses=Responses(partial=294))).status == status
    assert (await ask(headers=headers, engine=engine)).status == 200


async def test_a_refused_request_is_no_partial_success() -> None:
    assert (await ask(b"{}", responses=Responses(partial=294))).status == 400


LARGE = Echo({"text": "x" * 2_000})
COMPRESSING = Responses(compression=Compression(above=1024))


async def test_a_large_answer_is_compressed_for_who_takes_it() -> None:
    found = await ask(headers={**POSTED, "accept-encoding": "gzip"}, engine=LARGE, responses=COMPRESSING)
    assert found.headers["content-encoding"] == "gzip"
    assert int(found.headers["content-length"]) == len(found.body) < 200
    assert orjson.loads(gzip.decompress(found.body)) == {"data": LARGE.data}


@pytest.mark.parametrize(
    ("engine", "accepts"), [(LARGE, {}), (LARGE, {"accept-encoding": "br"}), (Echo(), {"accept-encoding": "gzip"})]
)
async def test_other_answers_go_as_they_are_and_say_that_it_depends(engine: Echo, accepts: dict[str, str]) -> None:
    found = await ask(headers={**POSTED, **accepts}, engine=engine, responses=COMPRESSING)
    assert found.json == {"data": engine.data}
    assert "content-encoding" not in found.headers
    assert found.headers["vary"] == "accept, accept-encoding, authorization"


@pytest.mark.parametrize("query", ["{ hello", "{ nothing }", "query($x: Int!) { nothing }"])
@in_virtual_time
async def test_old_clients_get_200_for_well_formed_requests_and_new_ones_the_truth(query: str) -> None:
    async with shop() as gateway:
        new = await gateway.execute(query)
        old = await gateway.execute(query, headers={"accept": JSON})
    assert (old.status, new.status) == (200, 400)
    assert old.json == new.json


async def test_an_authenticator_that_fails_is_a_masked_answer_in_graphql() -> None:
    engine = Echo()
    found = await ask(engine=engine, authenticator=Broken())
    assert (found.status, found.codes) == (500, ["INTERNAL_SERVER_ERROR"])
    assert DSN.encode() not in found.body
    assert [type(error) for error in engine.refused] == [ConnectionError]


async def test_a_value_that_json_cannot_hold_is_a_masked_answer_in_graphql() -> None:
    found = await ask(engine=Echo({"odd": object()}))
    assert (found.status, found.codes) == (500, ["INTERNAL_SERVER_ERROR"])


@in_virtual_time
async def test_an_unknown_token_is_refused_and_told_how_to_sign_in() -> None:
    async with shop() as gateway:
        found = await gateway.execute("{ whoami }", headers={"authorization": "Bearer nobody"})
    assert (found.status, found.codes, found.headers["www-authenticate"]) == (
        401,
        ["UNAUTHENTICATED"],
        'Bearer error="invalid_token"',
    )


@in_virtual_time
async def test_only_declared_headers_reach_a_service_and_only_that_one() -> None:
    wires = {"reviews": ScriptedWire(otherwise=reviews_answers)}
    services = {
        "catalog": {"url": "http://catalog.test", "send_headers": ["X-Tenant"]},
        "inventory": {"url": "http://inventory.test"},
        "reviews": {"url": "http://reviews.test", "send_headers": ["Authorization"]},
    }
    async with shop(wires=wires, services=services) as gateway:
        headers = {**CUSTOMER, "x-tenant": "acme", "cookie": "c"}
        await gateway.execute('{ products(keys: ["a"]) { stock { quantity } reviews { stars } } }', headers=headers)
        sent: dict[str, Any] = {
            name: [request.headers for request in client._wire.requests]  # type: ignore[attr-defined]
            for name, client in gateway.parts.services.items()
        }
    assert sent == {
        "catalog": [(("x-tenant", "acme"),)],
        "inventory": [()],
        "reviews": [(("authorization", "Bearer customer"),)],
    }


@in_virtual_time
async def test_a_header_that_the_client_binds_to_its_connection_goes_no_further() -> None:
    engine = Echo()
    sent = {**POSTED, "x-tenant": "acme", "x-hop": "1", "connection": "close, X-Hop"}
    await ask(headers=sent, engine=engine, forwarded=frozenset({"x-tenant", "x-hop"}))
    assert engine.requests[0].headers == (("x-tenant", "acme"),)


@pytest.mark.parametrize("value", ["a\r\nx-admin: 1", "a\nb", "a\0b", "a\x7f"])
@in_virtual_time
async def test_a_forwarded_value_that_would_break_a_request_apart_is_refused(value: str) -> None:
    engine = Echo()
    sent = {**POSTED, "x-tenant": value}
    found = await ask(headers=sent, engine=engine, forwarded=frozenset({"x-tenant"}))
    assert (found.status, engine.requests) == (400, [])
    assert (await ask(headers=sent, engine=engine)).status == 200  # it goes nowhere, so it harms nobody


# -- the client leaves -------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_when_the_client_leaves_its_calls_end_and_nobody_is_answered() -> None:
    wire = ScriptedWire(otherwise=hang)
    gone = asyncio.Event()
    async with shop(wires={"catalog": wire}) as gateway:
        body = b'{"query": "{ products(keys: [\\"a\\"]) { sku } }"}'
        scope = scope_of_request("POST", "/graphql", headers=POSTED)
        asking = asyncio.ensure_future(answer_of(gateway.app, scope, [body], gone=gone))
        await asyncio.sleep(0.1)
        assert wire.in_flight == 1
        gone.set()
        with pytest.raises(LookupError, match="answered nothing"):
            await asking
        assert (wire.in_flight, gateway.parts.admission.in_flight) == (0, 0)
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_client_that_leaves_within_its_body_is_not_answered() -> None:
    endpoint = GraphQLEndpoint(Echo(), authenticator=Anybody(), max_body=100)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await endpoint(scope_of_request("POST", "/graphql", headers=POSTED), receive, send)
    assert sent == []


@in_virtual_time
async def test_a_client_that_leaves_ends_the_work_and_leaves_the_task_as_it_was() -> None:
    ended = list[str]()

    async def work() -> Any:
        try:
            await asyncio.sleep(9)
        finally:
            ended.append("work")

    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(ClientGone):
        await while_connected(work(), leaves(at=0.1))
    assert (ended, task.cancelling(), asyncio.all_tasks()) == (["work"], 0, {task})
    await asyncio.sleep(0)  # nothing of the cancellation is left


@in_virtual_time
async def test_a_cancellation_from_outside_counts_though_the_client_leaves_in_the_same_moment() -> None:
    asking = asyncio.ensure_future(while_connected(asyncio.sleep(9, GraphQLResult()), leaves(at=0.1)))
    asyncio.get_running_loop().call_at(0.1, asking.cancel)
    await asyncio.wait({asking})
    assert asking.cancelled()


@in_virtual_time
async def test_a_connection_that_breaks_is_a_client_that_left() -> None:
    async def receive() -> Any:
        await asyncio.sleep(0.1)
        raise OSError("broken")

    with pytest.raises(ClientGone):
        await while_connected(asyncio.sleep(9, GraphQLResult()), watching({}, receive))


@in_virtual_time
async def test_work_that_is_done_is_answered_and_nobody_listens_any_longer() -> None:
    result = GraphQLResult()
    assert await while_connected(asyncio.sleep(0.1, result), leaves(at=9)) is result
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def leaves(*, at: float) -> Any:
    async def receive() -> Any:
        await asyncio.sleep(at)
        return {"type": "http.disconnect"}

    return watching({}, receive)


@in_virtual_time
async def test_a_server_that_can_say_that_the_client_has_left_is_not_listened_to() -> None:
    told = list[Left]()

    def watch(left: Left) -> Left:
        told.append(left)
        return told.clear

    watch_of_this = watching({"extensions": {EXTENSION: watch}}, lambda: pytest.fail("nobody listens"))
    result = GraphQLResult()
    assert await while_connected(asyncio.sleep(0.1, result), watch_of_this) is result
    assert told == [], "it was taken back"
    asking = asyncio.ensure_future(while_connected(asyncio.sleep(9, result), watch_of_this))
    await asyncio.sleep(0.1)
    assert len(asyncio.all_tasks()) == 2
    told[0]()
    with pytest.raises(ClientGone):
        await asking
