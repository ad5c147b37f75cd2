"""Sagas over the control socket: the queue of those that wait for a person, one saga's timeline, and what may be done to it.

Invariants: whatever is done stands in the saga's history, with who did it and why, before it is answered; that it cannot be done is
told with the reason. Payloads are shown as the journal holds them, so secrets are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import msgspec

from .clock import Epoch, utc
from .control import Caller, Command, Refused
from .errors import GatewayError
from .sagas import (
    Cancel,
    Host,
    Request,
    ResolveStep,
    RetryStep,
    SagaHistory,
    SagaQuery,
    SagaRecord,
    SagaState,
    SagaView,
    Signal,
    SkipStep,
)
from .sagas import Refused as SagaRefused
from .sagas.codec import redacted
from .sagas.events import Event, kind_of

T = TypeVar("T")

LISTED = 50
"""Sagas in one list, unless asked otherwise."""


def saga_commands(host: Host) -> dict[str, Command]:
    """By name, for the control socket of a gateway that runs sagas."""
    desk = _Desk(host)
    return {
        "sagas": desk.list,
        "sagas show": desk.show,
        "sagas cancel": desk.cancel,
        "sagas signal": desk.signal,
        **{f"sagas {name}": partial(desk.operate, name=name) for name in ("retry", "skip", "resolve")},
    }


class _List(msgspec.Struct, forbid_unknown_fields=True):
    states: list[SagaState] = []
    saga: str | None = None
    limit: int = LISTED


class _One(msgspec.Struct, forbid_unknown_fields=True):
    id: str


class _Cancel(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    reason: str


class _Operate(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    step: str
    reason: str
    verdict: Literal["done", "not_done", "undone"] | None = None
    result: Any = None


class _Signal(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    signal: str
    payload: Any = None


class _Desk:
    """The commands of one host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def list(self, arguments: Mapping[str, Any], _: Caller) -> Any:
        """The newest first; without `states` those that are not over."""
        asked = _taken(arguments, _List)
        if not 1 <= asked.limit <= 1_000:
            raise Refused([f"limit is {asked.limit}: ask for 1 to 1000"])
        states = frozenset(asked.states or (state for state in SagaState if not state.is_final))
        records = await self._host.search(SagaQuery(states=states, saga=asked.saga, limit=asked.limit))
        return {"sagas": [_record(record) for record in records]}

    async def show(self, arguments: Mapping[str, Any], _: Caller) -> Any:
        """One saga: how it stands, its steps, and everything that has happened to it."""
        saga_id = _taken(arguments, _One).id
        view, history = await self._host.view(saga_id), await self._host.history(saga_id)
        if view is None or history is None:
            raise _unknown(saga_id)
        return _view(view, history)

    async def cancel(self, arguments: Mapping[str, Any], caller: Caller) -> Any:
        asked = _taken(arguments, _Cancel)
        return await self._ask(asked.id, Cancel(_given(asked.reason), actor=_who(caller)))

    async def signal(self, arguments: Mapping[str, Any], caller: Caller) -> Any:
        asked = _taken(arguments, _Signal)
        return await self._ask(asked.id, Signal(asked.signal, _who(caller), _stored(asked.payload)))

    async def operate(self, arguments: Mapping[str, Any], caller: Caller, *, name: str) -> Any:
        asked = _taken(arguments, _Operate)
        return await self._ask(asked.id, _request(name, asked, actor=_who(caller)))

    async def _ask(self, saga_id: str, request: Request) -> Any:
        try:
            answer = await self._host.ask(saga_id, request)
        except GatewayError as error:
            raise Refused([error.message]) from error
        if answer is None:
            raise _unknown(saga_id)
        if isinstance(answer, SagaRefused):
            raise Refused([answer.why])
        return {"id": saga_id, "isRepeated": answer.is_repeated}


def _request(name: str, asked: _Operate, *, actor: str) -> Request:
    reason = _given(asked.reason)
    if name == "retry":
        return RetryStep(asked.step, actor, reason)
    if name == "skip":
        return SkipStep(asked.step, actor, reason)
    if asked.verdict is None:
        raise Refused(["say what became of it: done, not_done or undone"])
    result = _stored(asked.result) if asked.verdict == "done" else None
    return ResolveStep(asked.step, actor, reason, asked.verdict, result)


def _taken(arguments: Mapping[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(arguments, kind)
    except msgspec.ValidationError as error:
        raise Refused([f"the command's arguments do not fit: {error}"]) from error


def _given(reason: str) -> str:
    if not reason.strip():
        raise Refused(["a reason is needed: it stands in the saga's history for whoever reads it later"])
    return reason


def _stored(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _unknown(saga_id: str) -> Refused:
    return Refused([f"there is no saga {saga_id}"])


def _who(caller: Caller) -> str:
    return "an operator" if caller.uid is None else f"uid {caller.uid}"


def _record(record: SagaRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "saga": record.saga,
        "version": record.version,
        "status": record.state,
        "tenant": record.owner.tenant,
        "subject": record.owner.subject,
        "createdAt": _written(record.created_at),
        "endedAt": _written(record.ended_at),
    }


def _view(view: SagaView, history: SagaHistory) -> dict[str, Any]:
    return {
        "id": view.id,
        "saga": view.saga,
        "version": view.version,
        "status": view.status,
        "tenant": view.owner.tenant,
        "subject": view.owner.subject,
        "cause": view.cause,
        "createdAt": _written(view.created_at),
        "deadlineAt": _written(view.deadline_at),
        "endedAt": _written(view.ended_at),
        "input": redacted(msgspec.json.decode(view.input)),
        "steps": [
            {
                "name": step.name,
                "status": step.status,
                "attempts": step.attempts,
                "undoAttempts": step.undo_attempts,
                "code": step.code,
                "nextAt": _written(step.next_at),
                "result": None if step.result is None else redacted(msgspec.json.decode(step.result)),
            }
            for step in view.steps
        ],
        "events": [_event(event, number) for number, event in enumerate(history.events, start=history.first)],
    }


def _event(event: Event, number: int) -> dict[str, Any]:
    about: Sequence[str] = ("step", "attempt", "code", "actor", "sender", "reason", "verdict", "state")
    told = {name: getattr(event, name) for name in about if getattr(event, name, None) is not None}
    return {"number": number, "at": _written(event.at), "kind": kind_of(event), **told}


def _written(at: Epoch | None) -> str | None:
    return None if at is None else utc(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
