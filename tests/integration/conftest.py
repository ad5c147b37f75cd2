"""The reference graph over scripted services, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pytest
import uvloop

if TYPE_CHECKING:
    from gateway.graph import Graph


@pytest.fixture(scope="session")
def reference() -> Graph:
    """What `schema.graphql` is printed from."""
    import mutations  # here: the wire's own tests, which a deliberate fault runs alone, need no graph
    import resolvers
    from gateway.graph import build_graph

    return build_graph(resolvers.Query, mutations.Mutation, resolvers.Subscription)


@pytest.fixture(scope="session")
def readable() -> Graph:
    """Its read side alone: it needs no journal, so it runs in virtual time."""
    import resolvers
    from gateway.graph import build_graph

    return build_graph(resolvers.Query)


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The wire and the host of sagas are proven on the loop that serves and on Python's own; the rest on the latter."""
    if item.path.name in ("test_wire.py", "test_saga_host.py"):
        return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.SelectorEventLoop}
