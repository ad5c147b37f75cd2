"""Declared writes: one command of a service, its refusals included.

Invariant: an answer is decoded strictly or not at all. What a caller may conclude stands in the error's `applied`: a
4xx did nothing (False), an unreadable 2xx did it (True), everything else is unknown (None).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Generic, TypeVar, cast

import msgspec

from ..clock import Deadline, Seconds
from ..errors import ServiceContractBroken, ServiceRefused
from ..secret import secret_of
from .request import UNREADABLE, Priority, ServiceRequest, ServiceResponse
from .service import ServiceClient

V = TypeVar("V")

_REASON = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
"""What a service's refusal code may look like; anything else is foreign text and stays here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[V]):
    """What is sent where, and what comes back."""

    service: str
    method: str
    path: str
    into: type[V]
    """The answer's type; `NoneType` where the service answers with an empty body."""
    rejects: Mapping[str, str] = field(default_factory=dict[str, str])
    """The service's refusal code -> our message for the client. The caller compares it with `ServiceRefused.reason`."""
    attempt_timeout: Seconds | None = None

    @property
    def endpoint(self) -> str:
        return f"{self.method} {self.path}"


class _Refusal(msgspec.Struct):
    code: str
    message: str = ""


_refusals = msgspec.json.Decoder(_Refusal)


async def send(
    command: Command[V],
    body: object,
    *,
    client: ServiceClient,
    idempotency_key: str,
    deadline: Deadline,
    headers: tuple[tuple[str, str], ...] = (),
    may_retry: bool = True,
    priority: Priority = Priority.NORMAL,
) -> V:
    """The decoded answer of one call, all its attempts under the same key.

    Shape: `body` is whatever msgspec encodes: a dict, a Struct, a dataclass.
    Raises: ServiceRefused for a 4xx, ServiceContractBroken for an answer of the wrong shape, and whatever
    `client.call` raises.
    """
    request = ServiceRequest(
        service=command.service,
        method=command.method,
        path=command.path,
        endpoint=command.endpoint,
        headers=(("Content-Type", "application/json"), *headers),
        body=msgspec.json.encode(body),
        deadline=deadline,
        idempotency_key=idempotency_key,
        may_retry=may_retry,
        priority=priority,
        attempt_timeout=command.attempt_timeout,
    )
    return _answer(command, await client.call(request))


def _answer(command: Command[V], response: ServiceResponse) -> V:
    if response.is_success:
        return _decoded(command, response.body)
    if 400 <= response.status < 500:
        raise _refused(command, response)
    raise ServiceContractBroken(
        f"{command.service} answered {command.endpoint} with {response.status}, which is neither done nor refused",
        service=command.service,
    )


def _decoded(command: Command[V], body: bytes) -> V:
    if command.into is NoneType and not body:
        return cast("V", None)
    try:
        return msgspec.json.decode(body, type=command.into, strict=True, dec_hook=secret_of)
    except UNREADABLE as error:
        raise ServiceContractBroken(
            f"{command.service} did {command.endpoint}, but its answer is not a {command.into.__name__}",
            service=command.service,
            applied=True,
        ) from error


def _refused(command: Command[V], response: ServiceResponse) -> ServiceRefused:
    reason = _reason(response.body)
    return ServiceRefused(
        f"{command.service} refused {command.endpoint}: {reason or response.status}",
        service=command.service,
        http_status=response.status,
        reason=reason,
    )


def _reason(body: bytes) -> str | None:
    try:
        code = _refusals.decode(body).code
    except UNREADABLE:
        return None
    return code if _REASON.fullmatch(code) else None
