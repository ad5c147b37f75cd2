"""What an operation may be asked for by: the method, the transport and the Idempotency-Key header have to fit what it does.

Pure: nothing is looked up but the operation and the graph. What a caller may see is `rejecting`'s.
"""

from __future__ import annotations

from graphql import OperationType, Undefined, value_from_ast_untyped

from ..errors import RequestError
from ..graph import Graph
from .document import Operation
from .on_error import OnError
from .request import GraphQLRequest


class MethodRefused(RequestError):
    """A GET asked for more than a query."""

    status = 405


def ensure_permitted(operation: Operation, request: GraphQLRequest, graph: Graph) -> None:
    """Raises: MethodRefused for a mutation by GET; RequestError where one key would serve two sagas, or none."""
    if operation.kind is OperationType.SUBSCRIPTION:
        raise RequestError(
            "a subscription has many answers, and this client takes one: send Accept: text/event-stream, or "
            "Accept: multipart/mixed;subscriptionSpec=1.0, or connect to this address by WebSocket (graphql-transport-ws)"
        )
    if request.only_queries and operation.kind is not OperationType.QUERY:
        raise MethodRefused(f"a {operation.kind.value} needs POST: GET is for queries")
    if request.idempotency_key is not None:
        ensure_one_key(operation, request, graph)


def ensure_one_key(operation: Operation, request: GraphQLRequest, graph: Graph) -> None:
    """Raises: RequestError unless the Idempotency-Key header goes with exactly one saga, and with no other key of it."""
    is_mutation = operation.kind is OperationType.MUTATION
    sagas = [node for node in operation.roots if is_mutation and node.name.value in graph.sagas]
    if len(sagas) != 1:
        raise RequestError(
            f"the Idempotency-Key header goes with exactly one saga, this operation has {len(sagas)}: "
            "use the idempotencyKey argument"
        )
    argument = next((each.value for each in sagas[0].arguments or () if each.name.value == "idempotencyKey"), None)
    given = None if argument is None else value_from_ast_untyped(argument, dict(request.variables))
    if given not in (None, Undefined, request.idempotency_key):
        raise RequestError("idempotencyKey and the Idempotency-Key header differ: send one of them")


def comes_in_parts(operation: Operation, request: GraphQLRequest) -> bool:
    """Not where it is to be explained or its cost told, which is of the whole; nor where an error is to do anything but propagate:
    a part that is begun cannot be taken back."""
    return (
        operation.defers and not (request.is_explained or request.tells_cost) and request.on_error is OnError.PROPAGATE
    )
