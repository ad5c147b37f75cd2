"""Results: what the client reads. Data first; each error with its code; what was degraded, and why.

Invariant: an error whose type is not ours is masked: the client gets a trace id, the log gets the rest. Only what we wrote for
clients, or what graphql-core says about the client's own document, keeps its text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from graphql import GraphQLError

from ..errors import AdmissionError, BadUserInput, GatewayError, InternalError, Quota, RateLimited
from ..graph import Ctx
from ..telemetry import Telemetry, current_trace_id
from .answer import encoded, plain
from .document import DocumentRejected
from .freshness import Freshness

_MASKED = "internal error: the trace id finds it in the logs"


class Executed(NamedTuple):
    """What execution leaves: dictionaries, or the records of a plan; and what failed."""

    data: Any
    errors: Sequence[GraphQLError]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one of several results of an operation has besides: in the names of the specification."""

    has_next: bool
    is_first: bool = False
    """It has `data`; later ones do not."""
    pending: Sequence[Mapping[str, Any]] = ()
    incremental: Sequence[Mapping[str, Any]] = ()
    completed: Sequence[Mapping[str, Any]] = ()

    def written(self) -> dict[str, Any]:
        """Its members."""
        lists = {"pending": self.pending, "incremental": self.incremental, "completed": self.completed}
        return {name: list(each) for name, each in lists.items() if each} | {"hasNext": self.has_next}


class GraphQLResult(msgspec.Struct, frozen=True, kw_only=True):
    """An answer before it is bytes. `is_request_error`: nothing was executed, so there is no `data` member at all."""

    tree: Any = None
    """What the member `data` is made of, as execution left it."""
    errors: Sequence[Mapping[str, Any]] = ()
    extensions: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    is_request_error: bool = False
    status: int = 200
    """What the answer has as `application/graphql-response+json`; plain JSON is 200 for any well-formed request."""
    retry_after: int = 1
    """Where the status says "later": in how many seconds."""
    quota: Quota | None = None
    """What the client has left of what it may take; None: it has no limit."""
    event_id: str | None = None
    """Of a subscription's event: what a client says back to go on after it. None: it cannot be resumed."""

    freshness: Freshness | None = None
    """For how long and by whom it may be kept; None: by nobody."""
    part: Part | None = None
    """Where the answer comes in parts."""

    @property
    def data(self) -> Mapping[str, Any] | None:
        """In dictionaries and lists: made anew each time, for whoever wants to look into it."""
        found: Mapping[str, Any] | None = plain(self.tree)
        return found

    def encoded(self) -> bytes:
        """As JSON. Raises: Unwritable, where a scalar or an author's extensions hold what JSON cannot."""
        body: dict[str, Any] = {}
        if self.errors:
            body["errors"] = list(self.errors)
        if not self.is_request_error and (self.part is None or self.part.is_first):
            body["data"] = self.tree
        if self.part is not None:
            body |= self.part.written()
        if self.extensions:
            body["extensions"] = dict(self.extensions)
        return encoded(body)

    @property
    def code(self) -> str | None:
        """Code of the first error."""
        return self.errors[0]["extensions"]["code"] if self.errors else None

    @property
    def outcome(self) -> str:
        """ok, partial or failed: the label of the metric."""
        if not self.errors and not self.extensions.get("degraded"):
            return "ok"
        return "failed" if self.tree is None else "partial"


class Results:
    """Shapes what execution left into what the client reads."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def executed(self, outcome: Executed, ctx: Ctx) -> GraphQLResult:
        """The answer of an operation that was run."""
        errors = [self.error(error) for error in outcome.errors]
        not_begun = outcome.data is None and bool(outcome.errors) and all(not error.path for error in outcome.errors)
        if not_begun:  # graphql-core could not coerce the variables
            return GraphQLResult(errors=errors, is_request_error=True, status=400)
        return GraphQLResult(tree=outcome.data, errors=errors, extensions=extensions_of(ctx))

    def refused(self, error: GatewayError) -> GraphQLResult:
        """The answer to a request that was not executed."""
        if isinstance(error, DocumentRejected):
            errors = [
                _formatted(each, each.message, {"code": error.reason.code, "retryable": False}) for each in error.errors
            ]
            self._count(error.reason.code, len(errors))
            return GraphQLResult(errors=errors, is_request_error=True, status=error.reason.status)
        self._count(error.code)
        status = 400 if isinstance(error, BadUserInput) else error.status
        entry = {"message": error.message, "extensions": error.extensions()}
        later = error.retry_after if isinstance(error, AdmissionError) else 1
        quota = error.quota if isinstance(error, RateLimited) else None
        return GraphQLResult(errors=[entry], is_request_error=True, status=status, retry_after=later, quota=quota)

    def broken(self, error: Exception) -> GraphQLResult:
        """The answer when we ourselves failed outside any field."""
        entry = {"message": _MASKED, "extensions": self._masked(error)}
        return GraphQLResult(errors=[entry], is_request_error=True, status=500)

    def error(self, error: GraphQLError) -> dict[str, Any]:
        """What the client reads of an error; it is counted."""
        original = _known(error.original_error)
        if isinstance(original, GatewayError):
            self._count(original.code)
            return _formatted(error, original.message, original.extensions())
        if original is None or (isinstance(original, GraphQLError) and not _is_about_our_value(error)):
            extensions = {"code": BadUserInput.code, "retryable": False, **(error.extensions or {})}
            self._count(BadUserInput.code)
            return _formatted(error, error.message, extensions)
        return _formatted(error, _MASKED, self._masked(original))

    def _masked(self, error: Exception) -> dict[str, Any]:
        self._count(InternalError.code)
        self._telemetry.log.error("internal error", exc_info=error)
        return {"code": InternalError.code, "retryable": False, "traceId": current_trace_id()}

    def _count(self, code: str, times: int = 1) -> None:
        self._telemetry.metrics.errors.labels(code).inc(times)


def _known(original: Exception | None) -> Exception | None:
    """Our own error, also where a resolver let httpx's word for it pass: `ctx.http` raises that from ours."""
    cause = original.__cause__ if original is not None else None
    return cause if isinstance(cause, GatewayError) and not isinstance(original, GatewayError) else original


def extensions_of(ctx: Ctx, *, told: int = 0, beyond: int = 0) -> dict[str, Any]:
    """`told`, `beyond`: how much of what is degraded the client knows already."""
    extensions: dict[str, Any] = {}
    if ctx.loads.reading.faults is not None:
        extensions["faults"] = True  # so that nobody takes a game day's answer for another
    if len(ctx.notes.told) > told:
        extensions["degraded"] = [note.as_json() for note in ctx.notes.told[told:]]
    if ctx.notes.beyond > beyond:
        extensions["degradedBeyond"] = ctx.notes.beyond - beyond
    return extensions


def _is_about_our_value(error: GraphQLError) -> bool:
    """Whether graphql-core could not write a value of ours as its type: that text holds the value, and is no fault of clients."""
    if error.path is None or error.original_error is None:  # the document, or its variables
        return False
    frame = error.original_error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and str(frame.tb_frame.f_globals.get("__name__", "")).startswith("graphql.type.")


def _formatted(error: GraphQLError, message: str, extensions: Mapping[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"message": message}
    if error.locations:
        entry["locations"] = [{"line": each.line, "column": each.column} for each in error.locations]
    if error.path is not None:
        entry["path"] = list(error.path)
    entry["extensions"] = dict(extensions)
    return entry
