"""The clients' side: GraphQL over HTTP, identity, health, pages. Start with `graphql_http.py`."""

from .authentication import StaticTokens, hashed
from .front import Front
from .game_day import FaultsHeader
from .graphql_http import GraphQLEndpoint
from .graphql_ws import GraphQLWebSocket
from .health import health_routes
from .pages import graphiql_routes, landing
from .requests import Requests
from .signals import signal_route
from .streaming import HttpStreams

__all__ = [
    "FaultsHeader",
    "Front",
    "GraphQLEndpoint",
    "GraphQLWebSocket",
    "HttpStreams",
    "Requests",
    "StaticTokens",
    "graphiql_routes",
    "hashed",
    "health_routes",
    "landing",
    "signal_route",
]
