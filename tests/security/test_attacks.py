"""Every attack of the table gets the answer that it must get, and the gateway goes on."""

from __future__ import annotations

import pytest

from benchmarks.attacks.gateway import Query, graph_settings
from benchmarks.attacks.table import ATTACKS, Attack, honest, of_a_size, of_many_values
from gateway.graph import Graph, build_graph
from gateway.testing import Answer, GatewayUnderTest

HEADERS = {"accept": "application/graphql-response+json", "content-type": "application/json"}
GRAPH: Graph = build_graph(Query)


async def asked(*bodies: bytes) -> list[Answer]:
    async with GatewayUnderTest(graph_settings(), GRAPH, wires={}) as gateway:
        return [await gateway.request("POST", "/graphql", body=body, headers=HEADERS) for body in bodies]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_an_attack_gets_the_answer_that_is_told(attack: Attack) -> None:
    for answer in await asked(*(attack.body(number) for number in range(3))):
        assert answer.status == attack.status, answer.body[:300]
        assert answer.codes[:1] == ([] if attack.code is None else [attack.code])


async def test_what_is_honest_is_answered() -> None:
    for answer in await asked(honest(1), of_a_size(1), of_many_values(1)):
        assert (answer.status, answer.codes) == (200, [])
