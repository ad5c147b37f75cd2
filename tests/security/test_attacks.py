"""Every attack of the table gets the answer that it must get, and the gateway goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.attacks.gateway import Query, graph_settings
from benchmarks.attacks.table import ATTACKS, Attack, honest, of_a_size, of_many_bytes, of_many_values
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
    for answer in await asked(*(body(1) for body in (honest, of_a_size, of_many_values, of_many_bytes))):
        assert (answer.status, answer.codes) == (200, [])


def test_the_page_of_attacks_has_each_with_its_answer() -> None:
    page = (Path(__file__).parents[2] / "docs" / "security-tests.md").read_text(encoding="utf-8")
    for attack in ATTACKS:
        assert f"| {attack.name} | {'answered' if attack.code is None else f'`{attack.code}`'} |" in page
