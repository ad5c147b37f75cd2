"""The clients' side: GraphQL over HTTP, identity, health, pages. Start with `graphql_http.py`."""

from .authentication import StaticTokens, hashed
from .game_day import FaultsHeader
from .graphql_http import GraphQLEndpoint
from .health import health_routes
from .pages import graphiql_routes, landing

__all__ = ["FaultsHeader", "GraphQLEndpoint", "StaticTokens", "graphiql_routes", "hashed", "health_routes", "landing"]
