"""The clients' side: GraphQL over HTTP, identity, health, pages. Start with `graphql_http.py`."""

from .admin import AdminDoor
from .authentication import BearerTokens, FetchedKeys, FileOfKeys, Issuer, KeySet, StaticTokens, TrustedProxy, hashed
from .compression import Compression
from .documents import KnownDocuments, document_id
from .doorstep import Doorstep
from .front import Front
from .game_day import FaultsHeader
from .graphql_http import GraphQLEndpoint
from .graphql_ws import GraphQLWebSocket
from .health import health_routes, status_routes
from .origins import Origins
from .pages import graphiql_routes, landing
from .requests import Requests
from .responses import Responses
from .shared_documents import SharedDocuments
from .signals import signal_route
from .streaming import HttpStreams

__all__ = [
    "AdminDoor",
    "BearerTokens",
    "Compression",
    "Doorstep",
    "FaultsHeader",
    "FetchedKeys",
    "FileOfKeys",
    "Front",
    "GraphQLEndpoint",
    "GraphQLWebSocket",
    "HttpStreams",
    "Issuer",
    "KeySet",
    "KnownDocuments",
    "Origins",
    "Requests",
    "Responses",
    "SharedDocuments",
    "StaticTokens",
    "TrustedProxy",
    "document_id",
    "graphiql_routes",
    "hashed",
    "health_routes",
    "landing",
    "signal_route",
    "status_routes",
]
