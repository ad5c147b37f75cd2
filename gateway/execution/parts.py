"""An answer that comes in parts, as the client reads it: the first one, what follows, and what is said when it is cut short.

Source: GraphQL's "Incremental Delivery". Two dialects: the proposal of today (`incrementalSpec=v0.2`), where parts refer by id to
what was announced as pending, and that of 2022 (`deferSpec=20220824`), where each part tells its path and label.
Invariants: errors of parts are shaped, and masked, as those of whole answers; what is degraded is told once, in the first result
after it happened, there in the `extensions` of the part that it stands in, where clients look for it (Apollo's merges no others of
a result that has parts); whatever was announced is completed, with an error if need be, and the last part says that it is the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from graphql import GraphQLError
from graphql.execution import (
    CompletedResult,
    IncrementalDeferResult,
    IncrementalStreamResult,
    InitialIncrementalExecutionResult,
    PendingResult,
    SubsequentIncrementalExecutionResult,
)
from msgspec.structs import replace

from ..errors import GatewayError
from ..graph import Ctx
from .request import Dialect
from .result import Executed, GraphQLResult, Part, Results, extensions_of

Payload = Executed | InitialIncrementalExecutionResult | SubsequentIncrementalExecutionResult
"""What an execution leaves: all at once, or a first part and others after it."""

Members = Mapping[str, Any]

Formatted = Callable[[Sequence[GraphQLError]], list[Members]]
"""Errors -> what the client reads of them."""


class Parts:
    """Shapes the payloads of one operation. State: what is pending, what was told of what is degraded, how it went so far."""

    def __init__(self, results: Results, ctx: Ctx, dialect: Dialect | None) -> None:
        self._results = results
        self._ctx = ctx
        self._writer: _Writer = _Of2022() if dialect == "20220824" else _OfToday()
        self._pending: dict[str, PendingResult] = {}
        self._told = self._beyond = 0
        self._degraded: list[Any] = []
        self._first: GraphQLResult | None = None
        self._errors: list[Members] = []

    @property
    def whole(self) -> GraphQLResult:
        """How it went, for whoever counts: the first part, with the errors and the degradation of all."""
        first = self._first or GraphQLResult(is_request_error=True)
        return replace(first, errors=self._errors, extensions={"degraded": self._degraded} if self._degraded else {})

    def shaped(self, payload: Payload) -> GraphQLResult | None:
        """What the client reads of it; None where the dialect has no words for it."""
        match payload:
            case Executed():
                return self._begun(self._results.executed(payload, self._ctx))
            case InitialIncrementalExecutionResult():
                return self._initial(payload)
            case SubsequentIncrementalExecutionResult():
                return self._later(payload, self._formatted)

    def ended(self, error: Exception) -> GraphQLResult | None:
        """What is said where nothing more comes, because of `error`. None: all has been said."""
        if self._first is None:
            refused = self._results.refused(error) if isinstance(error, GatewayError) else self._results.broken(error)
            return self._begun(refused)
        if not self._pending:
            return None
        cut = GraphQLError(str(error), original_error=error)
        said = self._formatted([cut])
        completed = [CompletedResult(id_, [cut]) for id_ in self._pending]
        return self._later(SubsequentIncrementalExecutionResult(has_next=False, completed=completed), lambda _: said)

    def _initial(self, payload: InitialIncrementalExecutionResult) -> GraphQLResult:
        result = self._results.executed(Executed(payload.data, payload.errors or ()), self._ctx)
        self._announce(payload.pending)
        self._told, self._beyond = len(self._ctx.notes.told), self._ctx.notes.beyond
        return self._begun(replace(result, part=self._writer.first(payload)))

    def _begun(self, first: GraphQLResult) -> GraphQLResult:
        self._first = first
        self._errors += first.errors
        self._degraded += first.extensions.get("degraded", ())
        return first

    def _later(self, payload: SubsequentIncrementalExecutionResult, formatted: Formatted) -> GraphQLResult | None:
        self._announce(payload.pending or ())
        extensions = extensions_of(self._ctx, told=self._told, beyond=self._beyond)
        degraded = extensions.pop("degraded", ())
        elsewhere = self._handed_out(degraded, payload.incremental or ())
        if elsewhere:
            extensions["degraded"] = elsewhere
        part = self._writer.later(payload, formatted)
        for each in payload.completed or ():
            self._pending.pop(each.id, None)
        if part is None:
            return None
        self._told, self._beyond = len(self._ctx.notes.told), self._ctx.notes.beyond
        self._degraded += degraded
        return GraphQLResult(part=part, extensions=extensions)

    def _handed_out(
        self, degraded: Iterable[Members], parts: Sequence[IncrementalDeferResult | IncrementalStreamResult]
    ) -> list[Members]:
        """What is degraded outside all of the parts; the rest goes with them."""
        at = {(*self._pending[each.id].path, *(each.sub_path or ())): each for each in parts}
        outside: list[Members] = []
        for note in degraded:
            path = tuple(note["path"])
            part = next((at[path[:depth]] for depth in reversed(range(len(path) + 1)) if path[:depth] in at), None)
            if part is None:
                outside.append(note)
            else:
                told = part.extensions or {}
                part.extensions = {**told, "degraded": [*told.get("degraded", ()), note]}
        return outside

    def _announce(self, pending: Sequence[PendingResult]) -> None:
        self._pending |= {each.id: each for each in pending}

    def _formatted(self, errors: Sequence[GraphQLError]) -> list[Members]:
        formatted: list[Members] = [self._results.error(each) for each in errors]
        self._errors += formatted
        return formatted


class _Writer(Protocol):
    """A dialect."""

    def first(self, payload: InitialIncrementalExecutionResult) -> Part: ...
    def later(self, payload: SubsequentIncrementalExecutionResult, formatted: Formatted) -> Part | None: ...


class _OfToday:
    """Parts by id."""

    def first(self, payload: InitialIncrementalExecutionResult) -> Part:
        return Part(has_next=payload.has_next, is_first=True, pending=_announced(payload.pending))

    def later(self, payload: SubsequentIncrementalExecutionResult, formatted: Formatted) -> Part | None:
        return Part(
            has_next=payload.has_next,
            pending=_announced(payload.pending or ()),
            incremental=[self._incremental(each, formatted) for each in payload.incremental or ()],
            completed=[self._completed(each, formatted) for each in payload.completed or ()],
        )

    def _incremental(
        self, found: IncrementalDeferResult | IncrementalStreamResult, formatted: Formatted
    ) -> dict[str, Any]:
        members: dict[str, Any] = {"id": found.id}
        if found.sub_path:
            members["subPath"] = found.sub_path
        return members | _content(found) | _told(found.errors, formatted)

    def _completed(self, found: CompletedResult, formatted: Formatted) -> dict[str, Any]:
        return {"id": found.id} | _told(found.errors, formatted)


class _Of2022:
    """Parts by path and label. State: what was announced, and what was delivered, to find out how long a list is by now."""

    def __init__(self) -> None:
        self._pending: dict[str, PendingResult] = {}
        self._delivered: list[tuple[list[str | int], Any]] = []
        self._lengths: dict[str, int] = {}

    def first(self, payload: InitialIncrementalExecutionResult) -> Part:
        self._pending |= {each.id: each for each in payload.pending}
        self._delivered.append(([], payload.data))
        return Part(has_next=payload.has_next, is_first=True)

    def later(self, payload: SubsequentIncrementalExecutionResult, formatted: Formatted) -> Part | None:
        self._pending |= {each.id: each for each in payload.pending or ()}
        incremental = [self._incremental(each, formatted) for each in payload.incremental or ()]
        incremental += [self._failed(each, formatted) for each in payload.completed or () if each.errors]
        if payload.has_next and not incremental:
            return None
        return Part(has_next=payload.has_next, incremental=incremental)

    def _incremental(
        self, found: IncrementalDeferResult | IncrementalStreamResult, formatted: Formatted
    ) -> dict[str, Any]:
        pending = self._pending[found.id]
        path = [*pending.path, *(found.sub_path or ())]
        if isinstance(found, IncrementalStreamResult):
            place = self._lengths.get(found.id)
            if place is None:
                place = self._length(path) or 0
            self._lengths[found.id] = place + len(found.items)
            self._delivered += [([*path, place + index], item) for index, item in enumerate(found.items)]
            path = [*path, place]
        else:
            self._delivered.append((path, found.data))
        return _labelled(_content(found), path, pending) | _told(found.errors, formatted)

    def _failed(self, found: CompletedResult, formatted: Formatted) -> dict[str, Any]:
        pending = self._pending[found.id]
        length = self._lengths.get(found.id)
        length = self._length(pending.path) if length is None else length
        path = pending.path if length is None else [*pending.path, length]
        name = "data" if length is None else "items"
        return _labelled({name: None}, path, pending) | _told(found.errors, formatted)

    def _length(self, path: Sequence[str | int]) -> int | None:
        """Of the list at the path, as it was first delivered; None where none stands there."""
        for base, value in reversed(self._delivered):
            if list(path[: len(base)]) == base:
                found = _at(value, path[len(base) :])
                if found is not None:
                    return len(found) if isinstance(found, list) else None
        return None


def _at(value: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        try:
            value = _member(value, key)
        except (LookupError, TypeError):
            return None
    return value


def _member(value: Any, key: str | int) -> Any:
    if not isinstance(value, msgspec.Struct):
        return value[key]
    places = {each.encode_name: each.name for each in msgspec.structs.fields(value)}
    return getattr(value, places[str(key)])


def _announced(pending: Sequence[PendingResult]) -> list[Members]:
    return [
        {"id": each.id, "path": each.path} | ({} if each.label is None else {"label": each.label}) for each in pending
    ]


def _content(found: IncrementalDeferResult | IncrementalStreamResult) -> dict[str, Any]:
    content = {"items": found.items} if isinstance(found, IncrementalStreamResult) else {"data": found.data}
    return content | ({"extensions": found.extensions} if found.extensions else {})


def _labelled(content: dict[str, Any], path: Sequence[str | int], pending: PendingResult) -> dict[str, Any]:
    return content | {"path": list(path)} | ({} if pending.label is None else {"label": pending.label})


def _told(errors: Sequence[GraphQLError] | None, formatted: Formatted) -> dict[str, Any]:
    return {"errors": formatted(errors)} if errors else {}
