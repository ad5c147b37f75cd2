"""What is deferred, over HTTP: who takes parts gets them in the words that it knows, everybody else the whole."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from gateway.testing import ScriptedWire, in_virtual_time, streamed
from gateway.testing.client import scope_of_request
from tests.unit.graph.shop import reviews_answers, shop

TEXT = '{ products(keys: ["a"]) { sku ... @defer(label: "r") { reviews { stars } } } }'
MULTIPART = "multipart/mixed"
TODAY = f"{MULTIPART};incrementalSpec=v0.2, application/json"
OF_2022 = f"{MULTIPART};deferSpec=20220824, application/json"


async def slow_reviews(request: Any) -> Any:
    await asyncio.sleep(1)
    return reviews_answers(request)


async def asked(accept: str, **more: Any) -> tuple[str, list[Any]]:
    """Content-Type and results."""
    async with shop(wires={"reviews": ScriptedWire(otherwise=slow_reviews)}) as gateway:
        for _ in range(2):  # by graphql-core, then by its plan
            scope = scope_of_request("POST", "/graphql", headers={"content-type": "application/json", "accept": accept})
            async with streamed(gateway.app, scope, orjson.dumps({"query": TEXT, **more})) as stream:
                body = await stream.rest()
    kind = stream.headers["content-type"]
    if MULTIPART not in kind:
        return kind, [orjson.loads(body)]
    parts = [part.partition(b"\r\n\r\n")[2] for part in body.split(b"\r\n---")]
    return kind, [orjson.loads(part) for part in parts if part]


@in_virtual_time
async def test_a_client_of_today_gets_parts_that_refer_by_id() -> None:
    kind, (first, last) = await asked(TODAY)
    assert "incrementalSpec=v0.2" in kind
    assert (first["data"], first["hasNext"]) == ({"products": [{"sku": "a"}]}, True)
    (pending,) = first["pending"]
    assert (pending["path"], pending["label"]) == (["products", 0], "r")
    (piece,) = last["incremental"]
    assert (piece["id"], last["hasNext"], last["completed"]) == (pending["id"], False, [{"id": pending["id"]}])


@in_virtual_time
async def test_a_client_of_2022_gets_parts_with_their_paths() -> None:
    kind, (first, last) = await asked(OF_2022)
    assert "deferSpec=20220824" in kind
    assert (first["hasNext"], "pending" in first) == (True, False)
    (piece,) = last["incremental"]
    assert (piece["path"], piece["label"], last["hasNext"]) == (["products", 0], "r", False)


@pytest.mark.parametrize(
    ("accept", "more"),
    [
        ("application/json", {}),
        (f"{MULTIPART};boundary=graphql;subscriptionSpec=1.0, application/json", {}),
        (TODAY, {"onError": "NULL"}),
    ],
)
@in_virtual_time
async def test_everybody_else_gets_the_whole(accept: str, more: dict[str, Any]) -> None:
    kind, (result,) = await asked(accept, **more)
    assert kind.startswith("application/json")
    assert [sorted(each) for each in result["data"]["products"]] == [["reviews", "sku"]]
    assert "hasNext" not in result
