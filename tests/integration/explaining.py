"""Answers that are asked to be explained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.testing import Answer, GatewayUnderTest
from tests.unit.graph.shop import STAFF


async def asked(
    gateway: GatewayUnderTest,
    text: str,
    variables: Mapping[str, Any] | None = None,
    *,
    headers: Mapping[str, str] = STAFF,
    explain: object = True,
) -> Answer:
    body = orjson.dumps({"query": text, "variables": variables, "extensions": {"explain": explain}})
    sent = {"content-type": "application/json", "accept": "application/graphql-response+json", **headers}
    return await gateway.request("POST", "/graphql", body=body, headers=sent)


def explanation(found: Answer) -> dict[str, Any]:
    told: dict[str, Any] = found.json["extensions"]["explain"]
    return told


def reads_of(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    reads: list[dict[str, Any]] = told["run"]["reads"]
    return reads


def unmeasured(told: Any) -> Any:
    """An explanation as it was before anything ran."""
    if isinstance(told, dict):
        return {name: None if name in {"run", "reads"} else unmeasured(each) for name, each in told.items()}
    return [unmeasured(each) for each in told] if isinstance(told, list) else told
