"""Pages of other origins: what their browsers are told, and what is refused as forged."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gateway.edge import GraphQLEndpoint, Origins, Requests
from gateway.edge.origins import PREFLIGHT_HEADERS
from gateway.testing import Answer
from gateway.testing.client import answer_of, scope_of_request

from .test_graphql_http import JSON, POSTED, Anybody, Echo

APP, OTHER, OURS = "https://app.example", "https://other.example", "https://gateway.example"
HOST = {"host": "gateway.example"}
ASKING = {"access-control-request-method": "POST"}


async def ask(
    method: str = "POST",
    *,
    origins: tuple[str, ...] = (APP,),
    headers: Mapping[str, str],
    engine: Echo | None = None,
    refuses_forged: bool = True,
    forwarded: frozenset[str] = frozenset(),
) -> Answer:
    endpoint = GraphQLEndpoint(
        engine or Echo(),
        authenticator=Anybody(),
        max_body=100,
        requests=Requests(forwards=forwarded.__contains__),
        origins=Origins(origins),
        refuses_forged=refuses_forged,
    )
    sent = {**HOST, **headers} if method != "POST" else {**HOST, **POSTED, **headers}
    query = "" if method == "POST" else "query=q"
    body = b'{"query": "q"}' if method == "POST" else b""
    return await answer_of(endpoint, scope_of_request(method, "/graphql", query=query, headers=sent), [body])


def cors_of(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


# -- what browsers are told --------------------------------------------------------------------------------------------


async def test_a_page_of_a_listed_origin_may_read_the_answer_with_credentials() -> None:
    found = await ask(headers={"origin": APP})
    assert cors_of(found) == {
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "allow, etag, ratelimit, ratelimit-policy, retry-after, www-authenticate",
    }
    assert found.headers["vary"] == "origin", "after the other one"


@pytest.mark.parametrize("origin", [OTHER, "null", f"{APP}.evil.example", f"{APP}:8443", "http://app.example", ""])
async def test_a_page_of_another_origin_is_told_nothing(origin: str) -> None:
    assert cors_of(await ask(headers={"origin": origin})) == {}
    assert cors_of(await ask("OPTIONS", headers={"origin": origin, **ASKING})) == {}


async def test_an_answer_to_nobodys_page_says_that_it_depends_on_the_origin() -> None:
    found = await ask(headers={})
    assert (cors_of(found), found.headers["vary"]) == ({}, "origin")


async def test_refusals_can_be_read_too() -> None:
    found = await ask(headers={"origin": APP, "content-type": "text/plain"})
    assert (found.status, found.headers["access-control-allow-origin"]) == (415, APP)


async def test_everybody_is_let_in_without_credentials() -> None:
    found = await ask(origins=("*",), headers={"origin": OTHER})
    assert found.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in found.headers


async def test_without_listed_origins_nothing_is_added() -> None:
    found = await ask(origins=(), headers={"origin": OTHER})
    assert (cors_of(found), found.headers["vary"]) == ({}, "accept, authorization")


async def test_a_browser_that_asks_first_is_told_what_it_may_send_for_two_hours() -> None:
    engine = Echo()
    asking = {"origin": APP, **ASKING, "access-control-request-headers": "content-type,X-Tenant,x-other"}
    found = await ask("OPTIONS", headers=asking, engine=engine, forwarded=frozenset({"x-tenant", "x-basket"}))
    assert (found.status, found.body, engine.requests) == (204, b"", [])
    assert found.headers["access-control-allow-origin"] == APP
    assert found.headers["access-control-allow-methods"] == "GET, HEAD, POST"
    assert found.headers["access-control-max-age"] == "7200"
    allowed = found.headers["access-control-allow-headers"].split(", ")
    assert {"content-type", "authorization", "idempotency-key", "apollo-require-preflight", "x-tenant"} <= set(allowed)
    assert not {"x-other", "x-basket", "cookie"} & set(allowed)


# -- what is refused as forged -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": OTHER},
        {"sec-fetch-site": "cross-site", "origin": "null"},
        {"origin": OTHER},
        {"origin": "null"},
        {"cookie": "session=1"},
        {"sec-fetch-site": "cross-site", "content-type": "text/plain"},
        {"sec-fetch-site": "cross-site", "apollo-require-preflight": ""},
        {"sec-fetch-site": "anything else"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_a_page_elsewhere_could_have_sent_unasked_is_not_executed(
    method: str, headers: dict[str, str]
) -> None:
    engine = Echo()
    found = await ask(method, headers=headers, engine=engine)
    assert (found.status, engine.requests) == (403, [])
    assert method == "HEAD" or found.codes == ["BAD_REQUEST"]
    assert (await ask(method, headers=headers, refuses_forged=False)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-mode": "cors"},
        {"sec-fetch-site": "same-origin", "cookie": "session=1"},
        {"sec-fetch-site": "none"},
        {"origin": OURS},
        {"origin": APP, "sec-fetch-site": "cross-site", "cookie": "session=1"},
        {"sec-fetch-site": "cross-site", "content-type": JSON},
        *({"sec-fetch-site": "cross-site", name: "1"} for name in PREFLIGHT_HEADERS),
    ],
)
async def test_what_only_we_a_listed_page_or_no_browser_sends_is_executed(headers: dict[str, str]) -> None:
    assert (await ask("GET", headers=headers)).status == 200


@pytest.mark.parametrize(("cookies", "status"), [({}, 200), ({"cookie": "session=1"}, 403)])
async def test_cookies_are_of_no_use_to_everybodys_pages(cookies: dict[str, str], status: int) -> None:
    headers = {"sec-fetch-site": "cross-site", "origin": OTHER, **cookies}
    assert (await ask("GET", origins=("*",), headers=headers)).status == status


@pytest.mark.parametrize(
    ("allowed", "headers", "is_permitted"),
    [
        ((), {}, True),
        ((), {"origin": OURS, **HOST}, True),
        ((), {"origin": APP, **HOST}, False),
        ((), {"origin": "null", **HOST}, False),
        ((APP,), {"origin": APP, **HOST, "cookie": "c"}, True),
        ((APP,), {"origin": OTHER, **HOST}, False),
        (("*",), {"origin": OTHER, **HOST}, True),
        (("*",), {"origin": OTHER, **HOST, "cookie": "c"}, False),
        (("*",), {"origin": OURS, **HOST, "cookie": "c"}, True),
    ],
)
def test_a_websocket_is_opened_for_the_same_origins(
    allowed: tuple[str, ...], headers: dict[str, str], is_permitted: bool
) -> None:
    assert Origins(allowed).permit(headers) is is_permitted
