"""The clients' side: GraphQL over HTTP, identity, health, pages. Start with `graphql_http.py`."""

from .authentication import StaticTokens, hashed
from .documents import KnownDocuments, document_id
from .front import Front
from .game_day import FaultsHeader
from .graphql_http import GraphQLEndpoint
from .graphql_ws import GraphQLWebSocket
from .health import health_routes
from .pages import graphiql_routes, landing
from .requests import Requests
from .signals import signal_route

__all__ = [
    "FaultsHeader",
    "Front",
    "GraphQLEndpoint",
    "GraphQLWebSocket",
    "KnownDocuments",
    "Requests",
    "StaticTokens",
    "document_id",
    "graphiql_routes",
    "hashed",
    "health_routes",
    "landing",
    "signal_route",
]
