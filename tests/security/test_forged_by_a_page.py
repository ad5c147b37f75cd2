"""A page elsewhere, in the browser of somebody who may do more: nothing that it can send without asking first has an effect."""

from __future__ import annotations

from urllib.parse import urlencode

import orjson
import pytest

from gateway.testing import connected, in_virtual_time
from tests.integration.test_saga_operations import Bank, gateway_on

PAY = 'mutation { pay(input: {amount: 5}, idempotencyKey: "k") { __typename } }'
BODY = orjson.dumps({"query": PAY})
BROWSER = {"host": "gateway.test", "cookie": "session=1", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "empty"}
ELSEWHERE = {**BROWSER, "origin": "https://evil.test", "sec-fetch-site": "cross-site"}
BOUNDARY = b'--x\r\ncontent-disposition: form-data; name="operations"\r\n\r\n' + BODY + b"\r\n--x--\r\n"
UPLOAD = (
    b'--x\r\ncontent-disposition: form-data; name="map"\r\n\r\n{"0": ["variables.file"]}\r\n'
    b'--x\r\ncontent-disposition: form-data; name="0"; filename="a"\r\n\r\na\r\n'
)

SIMPLE = {
    "text": ("text/plain", BODY),
    "text that says it is JSON": ("text/plain; application/json", BODY),
    "text of a charset": ("text/plain;charset=application/json", BODY),
    "a form": ("application/x-www-form-urlencoded", urlencode({"query": PAY}).encode()),
    "a form whose field is JSON": (
        "application/x-www-form-urlencoded",
        b'{"query":"' + PAY.replace('"', '\\"').encode() + b'","a":"=1"}',
    ),
    "a form with parts": ("multipart/form-data; boundary=x", BOUNDARY),
    "an upload": ("multipart/form-data; boundary=x", UPLOAD + BOUNDARY),
    "nothing said": ("", BODY),
    "a document": ("application/graphql", PAY.encode()),
    "two types": ("text/plain, application/json", BODY),
}


@pytest.mark.parametrize(("content_type", "body"), SIMPLE.values(), ids=list(SIMPLE))
@pytest.mark.parametrize(
    "origin", [ELSEWHERE, {**BROWSER, "origin": "null"}, BROWSER], ids=["elsewhere", "null", "unsaid"]
)
@in_virtual_time
async def test_what_a_form_or_a_simple_request_sends_is_no_operation(
    content_type: str, body: bytes, origin: dict[str, str]
) -> None:
    service = Bank()
    async with gateway_on(service) as gateway:
        headers = {**origin, **({"content-type": content_type} if content_type else {})}
        found = await gateway.request("POST", "/graphql", body=body, headers=headers)
    assert (found.status, found.codes) == (415, ["BAD_REQUEST"])
    assert service.calls == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "more",
    [{}, {"x-requested-by": "us"}, {"x-http-method-override": "POST"}, {"content-type": "application/json"}],
    ids=["plain", "asked first", "overridden", "of JSON"],
)
@in_virtual_time
async def test_no_get_has_an_effect_whoever_sends_it(method: str, more: dict[str, str]) -> None:
    service = Bank()
    async with gateway_on(service) as gateway:
        for origin in (ELSEWHERE, {"host": "gateway.test"}):
            found = await gateway.request(method, "/graphql", query={"query": PAY}, headers={**origin, **more})
            assert found.status in {403, 405}
    assert service.calls == []


@in_virtual_time
async def test_a_query_of_a_page_elsewhere_is_not_executed_unless_it_asked_first() -> None:
    async with gateway_on(Bank()) as gateway:
        asked = {"query": "{ __typename }"}
        refused = await gateway.request("GET", "/graphql", query=asked, headers=ELSEWHERE)
        ours = await gateway.request(
            "GET", "/graphql", query=asked, headers={**BROWSER, "sec-fetch-site": "same-origin"}
        )
        preflight = await gateway.request(
            "OPTIONS",
            "/graphql",
            headers={
                **ELSEWHERE,
                "access-control-request-method": "POST",
                "access-control-request-headers": "content-type",
            },
        )
    assert (refused.status, ours.status) == (403, 200)
    assert [name for name in (*refused.headers, *preflight.headers) if name.startswith("access-control")] == []


@in_virtual_time
async def test_a_stream_is_no_way_round() -> None:
    async with gateway_on(Bank()) as gateway:
        query = {"query": 'subscription { sagaEvents(id: "1") { kind } }'}
        headers = {**ELSEWHERE, "accept": "text/event-stream"}
        found = await gateway.request("GET", "/graphql", query=query, headers=headers)
    assert b"a page of another origin sends this" in found.body


@pytest.mark.parametrize(
    "origin",
    ["https://evil.test", "null", "http://gateway.test.evil.test", "https://gateway.test@evil.test", "file://"],
)
@in_virtual_time
async def test_no_websocket_is_opened_for_a_page_elsewhere(origin: str) -> None:
    service = Bank()
    async with gateway_on(service) as gateway, connected(gateway.app, headers={**BROWSER, "origin": origin}) as socket:
        assert not socket.is_accepted
    assert service.calls == []
