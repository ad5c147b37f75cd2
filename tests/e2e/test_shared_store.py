"""`sagaql serve --workers 2` with a Redis beside it: what one worker was sent, and what a client took of it, the other knows too;
killed, it is not missed."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.redis_server import needs_redis, redis_server

from .conftest import wait_until
from .test_serve import serving

pytestmark = pytest.mark.e2e

PASSWORD = "correct-horse"
ATTEMPTS = 16
"""Connections, each of which lands on either worker: 16 miss one of the two once in 30 000 runs."""

STORED = 'sagaql_shared_store_call_duration_seconds_count{command="set",outcome="ok"} 1.0'


METERED = {"authorization": "Bearer metered-caller"}
LIMITS = """
identity.tokens = [{ token = "metered-caller", subject = "metered" }]
limits.shared = true
limits.classes.metered = { subject = "metered", rate = 0.001, burst = 8 }
"""


def hashed(text: str) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256(text.encode()).hexdigest()}}}


def asked(port: int, body: dict[str, Any]) -> dict[str, Any]:
    """The answer on a connection of its own."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", "/graphql", json.dumps(body), {"content-type": "application/json"})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    return answer


def status(port: int, headers: Mapping[str, str]) -> int:
    """Of an answer on a connection of its own."""
    return httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": "{ __typename }"}, headers=headers).status_code


def metrics(port: int) -> str:
    return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text


@needs_redis
def test_workers_share_what_clients_had_kept_and_have_taken_and_outlive_the_store(tmp_path: Path) -> None:
    known, new = "{ __typename }", "{ again: __typename }"
    with redis_server(tmp_path, "--requirepass", PASSWORD) as server:
        toml = (
            f'operation.persisted = "1MiB"\n'
            f'shared.url = "redis://:{PASSWORD}@127.0.0.1:{server.port}"\nshared.timeout = "2s"\n{LIMITS}'
        )
        with serving(tmp_path, "--workers", "2", toml=toml) as gateway:
            gateway.wait_for("all processes ready")
            assert asked(gateway.port, {"query": known, **hashed(known)})["data"] == {"__typename": "Query"}
            wait_until(lambda: STORED in metrics(gateway.port), saying="the text is in the store")
            answers = [asked(gateway.port, hashed(known)) for _ in range(ATTEMPTS)]
            assert answers == [{"data": {"__typename": "Query"}}] * ATTEMPTS

            statuses = [status(gateway.port, METERED) for _ in range(ATTEMPTS)]
            assert statuses == [200] * 8 + [429] * (ATTEMPTS - 8), "whichever worker was asked"

            server.kill()
            answers = [asked(gateway.port, hashed(new)) for _ in range(ATTEMPTS)]
            assert [each["errors"][0]["message"] for each in answers] == ["PersistedQueryNotFound"] * ATTEMPTS
            assert asked(gateway.port, {"query": new, **hashed(new)})["data"] == {"again": "Query"}
            assert asked(gateway.port, hashed(known))["data"] == {"__typename": "Query"}, "by its own memory"
            gateway.process.terminate()
            assert gateway.exit_code() == 0
            assert "left alone" in gateway.said
            assert PASSWORD not in gateway.said
