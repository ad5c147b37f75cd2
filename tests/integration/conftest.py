"""The reference graph over scripted services, in this process."""

from __future__ import annotations

import pytest

import mutations
import resolvers
from gateway.graph import Graph, build_graph


@pytest.fixture(scope="session")
def reference() -> Graph:
    """What `schema.graphql` is printed from."""
    return build_graph(resolvers.Query, mutations.Mutation)


@pytest.fixture(scope="session")
def readable() -> Graph:
    """Its read side alone: it needs no journal, so it runs in virtual time."""
    return build_graph(resolvers.Query)
