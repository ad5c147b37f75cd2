"""What a worker and the saga process tell each other, as JSON in frames.

Invariant: inputs, results, signals and events travel as the journal holds them, byte for byte; whoever reads them decodes them with
its own types, and the handshake has made sure that these are the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, get_args

import msgspec
from msgspec import structs

from ..clock import Seconds
from .definition import Definition
from .journal import SagaQuery, SagaRecord
from .known import Owner
from .operating import Request, ResolveStep
from .progress import SagaProgress
from .states import SagaState

PROTOCOL = 1
"""Of these messages; both sides must speak the same."""
MAX_CALLS = 4096
"""Questions of one worker under way, waits included. 4096: eight times the operations that a gateway admits by default."""


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Written as a list that begins with its kind."""


# -- what a worker asks ------------------------------------------------------------------------------------------------


class Begin(_Message, frozen=True):
    saga_id: str
    saga: str
    version: int
    input: msgspec.Raw
    owner: Owner
    key: str | None
    input_hash: str
    trace: dict[str, str]


class Wait(_Message, frozen=True):
    saga_id: str
    timeout: Seconds


class Look(_Message, frozen=True):
    saga_id: str


class Read(_Message, frozen=True):
    """Its history after so many events."""

    saga_id: str
    after: int
    timeout: Seconds


class Search(_Message, frozen=True):
    query: SagaQuery


class Ask(_Message, frozen=True):
    """`kind`: the name of the request's class. `result`: of a step that is resolved as done, else nothing."""

    saga_id: str
    kind: str
    request: msgspec.Raw
    result: list[msgspec.Raw] = []


Question = Begin | Wait | Look | Read | Search | Ask

# -- what it is answered -----------------------------------------------------------------------------------------------


class Begun(_Message, frozen=True):
    saga_id: str
    created: bool
    state: SagaState


class Conflict(_Message, frozen=True):
    saga_id: str


class Standing(_Message, frozen=True):
    """What a view is computed from; without `progress` its version is no longer registered.

    `results`: of the steps that have one. They travel beside the progress, because msgspec reads no `Raw | None`.
    """

    record: SagaRecord
    progress: SagaProgress | None
    results: dict[str, msgspec.Raw] = {}


class Events(_Message, frozen=True):
    first: int
    events: list[msgspec.Raw]
    state: SagaState
    owner: Owner


class Records(_Message, frozen=True):
    records: list[SagaRecord]


class Decided(_Message, frozen=True):
    """`refused`: why not."""

    refused: str | None
    is_repeated: bool = False


class Nothing(_Message, frozen=True):
    """There is no such saga."""


Reply = Begun | Conflict | Standing | Events | Records | Decided | Nothing

# -- the conversation --------------------------------------------------------------------------------------------------


class Hello(_Message, frozen=True):
    """The first thing a worker says. `sagas`: what it may begin, "PlaceOrder v1" -> digest of its shape."""

    protocol: int
    worker: str
    sagas: dict[str, str]


class Call(_Message, frozen=True):
    """`number` is the worker's, unique on its connection."""

    number: int
    question: Question


class Forget(_Message, frozen=True):
    """Nobody waits for the answer any more. What was begun goes on."""

    number: int


class Heard(_Message, frozen=True):
    """The caches of this worker know of every write up to this one."""

    number: int


ToProcess = Hello | Call | Forget | Heard


class Welcome(_Message, frozen=True):
    is_healthy: bool


class Unwelcome(_Message, frozen=True):
    why: str


class Answered(_Message, frozen=True):
    number: int
    reply: Reply


class Failed(_Message, frozen=True):
    """An error of our taxonomy, by its code."""

    number: int
    code: str
    message: str


class Invalidated(_Message, frozen=True):
    """This step is done, or undone: what it declares as `invalidates` no longer holds."""

    number: int
    saga: str
    version: int
    step: str
    owner: Owner


class Health(_Message, frozen=True):
    is_healthy: bool


ToWorker = Welcome | Unwelcome | Answered | Failed | Invalidated | Health

# -- bytes -------------------------------------------------------------------------------------------------------------

_ENCODER = msgspec.json.Encoder()
_TO_PROCESS: msgspec.json.Decoder[ToProcess] = msgspec.json.Decoder(ToProcess)
_TO_WORKER: msgspec.json.Decoder[ToWorker] = msgspec.json.Decoder(ToWorker)
_REQUESTS: dict[str, Any] = {each.__name__: each for each in get_args(Request)}


def encode(message: ToProcess | ToWorker) -> bytes:
    return _ENCODER.encode(message)


def to_process(payload: bytes) -> ToProcess:
    """Raises: msgspec.MsgspecError."""
    return _TO_PROCESS.decode(payload)


def to_worker(payload: bytes) -> ToWorker:
    """Raises: msgspec.MsgspecError."""
    return _TO_WORKER.decode(payload)


def standing_of(record: SagaRecord, progress: SagaProgress | None) -> Standing:
    if progress is None:
        return Standing(record, None)
    results = {name: step.result for name, step in progress.steps.items() if step.result is not None}
    steps = {name: structs.replace(step, result=None, received=None) for name, step in progress.steps.items()}
    return Standing(record, structs.replace(progress, steps=steps), results)


def progress_of(standing: Standing) -> SagaProgress | None:
    """All that a view shows of it: signals that came are left out."""
    progress = standing.progress
    if progress is None:
        return None
    steps = {name: structs.replace(step, result=standing.results.get(name)) for name, step in progress.steps.items()}
    return structs.replace(progress, steps=steps)


def ask(saga_id: str, request: Request) -> Ask:
    kind = type(request).__name__
    result: list[msgspec.Raw] = []
    if isinstance(request, ResolveStep) and request.result is not None:
        result.append(request.result)
        request = replace(request, result=None)
    return Ask(saga_id, kind, msgspec.Raw(_ENCODER.encode(request)), result)


def request_of(asked: Ask) -> Request:
    """Raises: LookupError for a kind that this version does not know; msgspec.MsgspecError."""
    request: Request = msgspec.json.decode(asked.request, type=_REQUESTS[asked.kind])
    if isinstance(request, ResolveStep) and asked.result:
        return replace(request, result=asked.result[0])
    return request


def digests(definitions: Iterable[Definition]) -> dict[str, str]:
    """ "PlaceOrder v1" -> digest of its shape."""
    return {f"{each.name} v{each.version}": each.plan.digest for each in definitions}
