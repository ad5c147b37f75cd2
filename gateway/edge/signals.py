"""`POST /sagas/{id}/signals/{name}`: what a saga waits for, told by a service that speaks no GraphQL, such as a payment webhook.

Invariants: only who has `sagas.signal_scope`; the answer is given after the journal has the signal; sending it again is safe and
answered the same, so a sender may repeat until it reads 200.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..clock import Seconds
from ..errors import Forbidden, GatewayError, SagaNotFound, Unauthenticated
from ..identity import Authenticator, Identity
from ..sagas import Host, Refused, Signal, Taken
from .authentication import caller_of
from .json_reading import read_json
from .leaving import ClientGone
from .parameters import read_body
from .responses import refusal

CONFLICT = 409
"""The saga does not take it: another signal is meant, or it waits no longer."""


def signal_route(host: Host, *, authenticator: Authenticator, scope: str, max_body: int, body_within: Seconds) -> Route:
    """The route. `scope`: what its callers must have."""

    async def receive(request: Request) -> Response:
        try:
            identity = await caller_of(request.scope, request.headers, authenticator)
            _ensure_may_signal(identity, scope)
            body = await read_body(request.receive, request.headers, limit=max_body, within=body_within)
            payload = _payload(body)
            signal = Signal(request.path_params["name"], f"{identity.tenant}/{identity.subject}", payload)
            answer = await host.ask(request.path_params["id"], signal)
        except ClientGone:
            return Response(status_code=400)  # nobody reads it
        except GatewayError as error:
            return _refusal(error, request.headers)
        if answer is None:
            return _refusal(SagaNotFound("there is no such saga"), request.headers)
        return _answered(answer)

    return Route("/sagas/{id}/signals/{name}", receive, methods=["POST"])


def _ensure_may_signal(identity: Identity, scope: str) -> None:
    """Raises: Unauthenticated, Forbidden."""
    if identity.has(scope):
        return
    if identity.is_anonymous:
        raise Unauthenticated(f"send a token that has the scope {scope!r}")
    raise Forbidden(f"this needs the scope {scope!r}")


def _payload(body: bytes) -> msgspec.Raw:
    """As the journal will hold it. Raises: RequestError for what is no JSON."""
    return msgspec.Raw(msgspec.json.encode(read_json(body, what="the body")))


def _answered(answer: Taken | Refused) -> Response:
    if isinstance(answer, Refused):
        return JSONResponse({"taken": False, "reason": answer.why}, status_code=CONFLICT)
    return JSONResponse({"taken": True, "repeated": answer.is_repeated})


def _refusal(error: GatewayError, headers: Mapping[str, str]) -> Response:
    body = {"taken": False, "code": error.code, "reason": error.message, "retryable": error.retryable}
    told = {name.decode(): value.decode() for name, value in refusal(error.status, "POST", headers)}
    return JSONResponse(body, status_code=error.status, headers=told)
