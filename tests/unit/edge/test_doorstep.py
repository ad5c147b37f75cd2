"""Requests that are refused before they are read: which ones, and what their clients are told."""

from __future__ import annotations

import json
from collections.abc import Hashable
from random import Random

import pytest

from gateway.clock import Instant
from gateway.edge import Doorstep
from gateway.telemetry import Metrics

POSTED = [(b"authorization", b"Bearer a"), (b"accept", b"application/json")]
QUERY = b'{"query":"{ hello }"}'


class Shares:
    """Lets nobody in but the `favoured`."""

    is_on = True

    def __init__(self, *favoured: Hashable) -> None:
        self.asked = list[tuple[Hashable, float]]()
        self._favoured = favoured

    def passes(self, client: Hashable, *, now: Instant, dice: float, weight: float = 1.0) -> bool:
        assert 0 <= dice < 1
        self.asked.append((client, weight))
        return client in self._favoured


def refusal(
    shares: Shares,
    headers: list[tuple[bytes, bytes]] = POSTED,
    *,
    url: bytes = b"/graphql",
    body: bytes = QUERY,
    metrics: Metrics | None = None,
) -> bytes | None:
    doorstep = Doorstep(shares, path=b"/graphql", metrics=metrics or Metrics(), random=Random(1))
    return doorstep.refusal(url, headers, body, peer="192.0.2.1", now=Instant(0.0))


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (b"application/json", "application/json"),
        (b"*/*", "application/json"),
        (b"application/graphql-response+json, application/json;q=0.9", "application/graphql-response+json"),
    ],
)
def test_a_refusal_is_a_whole_answer_in_the_clients_media_type(accept: bytes, kind: str) -> None:
    metrics = Metrics()
    response = refusal(Shares(), [(b"accept", accept)], metrics=metrics)
    assert response is not None
    head, _, body = response.decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    headers = dict(line.split(": ") for line in lines)
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert (headers["content-type"], headers["content-length"]) == (f"{kind}; charset=utf-8", str(len(body)))
    assert headers["retry-after"] in {"1", "2", "3", "4"}
    assert json.loads(body)["errors"][0]["extensions"] == {"code": "OVERLOADED", "retryable": True}
    assert metrics.registry.get_sample_value("sagaql_requests_refused_early_total") == 1


def test_clients_are_told_apart_by_their_credentials_and_without_any_by_where_they_are() -> None:
    shares = Shares()
    for headers in (POSTED, [(b"authorization", b"Bearer b")], POSTED, []):
        refusal(shares, headers)
    one, other, again, anonymous = (client for client, _ in shares.asked)
    assert one == again != other
    assert anonymous == "192.0.2.1"
    assert b"Bearer" not in repr(shares.asked).encode()


def test_a_mutation_has_more_shares_and_is_known_by_its_word() -> None:
    shares = Shares()
    refusal(shares, body=b'{"query":"mutation Buy { buy }"}')
    refusal(shares, body=QUERY)
    assert [weight for _, weight in shares.asked] == [4.0, 1.0]


@pytest.mark.parametrize("url", [b"/readyz", b"/graphql/", b"/sagas/signals"])
def test_only_graphql_is_judged(url: bytes) -> None:
    assert refusal(Shares(), url=url) is None


def test_a_query_string_changes_nothing() -> None:
    assert refusal(Shares(), url=b"/graphql?op=Page") is not None


def test_what_calls_itself_critical_is_judged_by_who_sent_it() -> None:
    assert refusal(Shares(), [*POSTED, (b"x-request-priority", b" Critical")]) is None
    assert refusal(Shares(), [*POSTED, (b"x-request-priority", b"normal")]) is not None


def test_who_is_within_its_share_passes() -> None:
    assert refusal(Shares("192.0.2.1"), []) is None
