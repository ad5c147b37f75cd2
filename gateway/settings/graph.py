"""Where the graph is."""

from __future__ import annotations

from pathlib import Path

from .concern import Concern, Name, OptionalPath


class GraphSettings(Concern):
    """Where the graph is. Modules are found beside gateway.toml first."""

    query: Name = "resolvers:Query"
    """The root type of queries, "module:name"."""
    mutation: Name | None = None
    """The root type of mutations. None: a graph that only reads."""
    subscription: Name | None = None
    """The root type of subscriptions. None: there are none."""
    sdl: OptionalPath = Path("schema.graphql")
    """The printed schema that `sagaql check` compares with the code, relative to gateway.toml; "" keeps none."""
