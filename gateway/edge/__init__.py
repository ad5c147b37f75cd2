"""The clients' side: GraphQL over HTTP, identity, health, pages. Start with `graphql_http.py`."""

from .authentication import StaticTokens, hashed
from .graphql_http import GraphQLEndpoint
from .health import health_routes
from .pages import graphiql_routes, landing

__all__ = ["GraphQLEndpoint", "StaticTokens", "graphiql_routes", "hashed", "health_routes", "landing"]
