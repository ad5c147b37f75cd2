"""What browsers are told with every answer, whoever gives it."""

from __future__ import annotations

import pytest

from gateway.clock import Seconds
from gateway.edge.pages import CONTENT_SECURITY_POLICY
from gateway.edge.security_headers import PERMISSIONS, SHOWN_BY_NOBODY, strict_transport
from gateway.testing import in_virtual_time
from tests.unit.graph.shop import shop

JSON = {"accept": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/livez", 200),
        ("GET", "/readyz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/", 200),
        ("GET", "/nothing", 404),
        ("GET", "/graphql", 400),
        ("PUT", "/graphql", 405),
        ("OPTIONS", "/graphql", 204),
        ("GET", "/graphiql/assets/nothing.js", 404),
        ("POST", "/readyz", 405),
    ],
)
async def test_no_answer_is_guessed_at_kept_or_shown_in_a_page(method: str, path: str, status: int) -> None:
    async with shop() as gateway:
        found = await gateway.request(method, path, headers=JSON)
    assert found.status == status
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["content-security-policy"] == SHOWN_BY_NOBODY
    assert found.headers["cross-origin-resource-policy"] == "same-origin"
    assert found.headers["referrer-policy"] == "no-referrer"
    assert found.headers["cache-control"] in {"no-store", "no-cache"}


@in_virtual_time
async def test_what_is_posted_says_by_itself_that_it_is_json_for_this_caller_only() -> None:
    async with shop() as gateway:
        found = [await gateway.execute(document) for document in ("{ hello }", "{", "{ mine }")]
    for each in found:
        assert each.headers["x-content-type-options"] == "nosniff"
        assert each.headers["cache-control"] == "no-store"
        assert "authorization" in each.headers["vary"]


async def test_a_page_has_the_last_word_about_itself() -> None:
    async with shop() as gateway:
        page = await gateway.request("GET", "/graphiql")
    assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert page.headers["cache-control"] == "no-cache"
    assert page.headers["permissions-policy"] == PERMISSIONS


def test_only_who_lasts_is_promised() -> None:
    assert strict_transport(Seconds(60.0)) == [("strict-transport-security", "max-age=60")]
    assert strict_transport(Seconds(0.0)) == []
