"""`node(id)` keeps what the interface promises."""

from typing import cast

from graphql import GraphQLInterfaceType

from gateway.graph import build_graph
from mutations import Mutation
from resolvers import Query
from resolvers.query import NODES


def test_every_type_that_is_a_node_is_found_by_its_id() -> None:
    core = build_graph(Query, Mutation).core
    interface = cast("GraphQLInterfaceType", core.type_map["Node"])

    assert {each.name for each in core.get_possible_types(interface)} == set(NODES)
