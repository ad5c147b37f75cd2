"""One operation from text to result: document -> run -> result. Start with `engine.py`."""

from .answer import Unwritable
from .engine import Engine
from .on_error import OnError
from .request import GraphQLRequest
from .result import GraphQLResult

__all__ = ["Engine", "GraphQLRequest", "GraphQLResult", "OnError", "Unwritable"]
