"""What generated methods stand on: queries, sagas that are followed to their end, and their events.

Invariants: a mutation has one idempotency key, made before the first attempt and sent with every other; only what may safely be
sent twice is sent twice: queries, and mutations under their key; nothing is waited for beyond the deadline; a mutation ends in its
success, in how its saga ended, in an error after which nothing was begun, or in `NotSettled` with the key that finds out.
State: an HTTP connection pool, and nothing of any operation.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from random import Random
from typing import Any, Self, TypeVar
from uuid import uuid4

import httpx
import pydantic

from .errors import GraphError, NoAnswer, NotSettled, SagaQLError
from .model import as_json
from .outcome import SETTLED, error_of, is_accepted
from .result import Degraded, Result
from .retry import Retry
from .stream import OPENED_WITHIN, Stream, StreamBroken, over_websocket
from .transport import Answer, Transport

M = TypeVar("M", bound=pydantic.BaseModel)

WATCH = "subscription ($id: ID!, $after: Int!) { sagaEvents(id: $id, after: $after) { sequence saga { status } } }"
LOOK = "query ($id: ID!) { saga(id: $id) { status } }"


@dataclass(frozen=True, slots=True)
class Operation:
    """A generated operation: its text, its name, and the variables that were given."""

    text: str
    name: str | None
    variables: Mapping[str, object]

    def payload(self, **others: object) -> dict[str, Any]:
        """The parameters of a request; `others` are variables that take the place of those of their name."""
        named = {} if self.name is None else {"operationName": self.name}
        return {"query": self.text, "variables": as_json({**self.variables, **others}), **named}


class Core:
    """A gateway's graph, for one caller. `async with` closes its connections; it may be used by many tasks at once."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        deadline: float = 10.0,
        saga_deadline: float = 60.0,
        attempt_timeout: float = 15.0,
        retry: Retry | None = None,
        http: httpx.AsyncClient | None = None,
        stream: Stream = over_websocket,
        random: Random | None = None,
    ) -> None:
        """`url`: of the graph, such as http://127.0.0.1:8000/graphql. Durations are seconds.

        `deadline`: of a query, all attempts included. 10: the gateway's own.
        `saga_deadline`: of a mutation, until its saga has ended. 60: twice what the shop's sagas give themselves.
        `attempt_timeout`: of one request; a lost answer costs no more. 15: longer than a gateway lets a mutation wait.
        """
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"url is {url!r}: it must begin with http:// or https://")
        for name, seconds in (
            ("deadline", deadline),
            ("saga_deadline", saga_deadline),
            ("attempt_timeout", attempt_timeout),
        ):
            if not seconds > 0:
                raise ValueError(f"{name} is {seconds}: it must be above zero")
        self._url = url
        self._deadline = deadline
        self._saga_deadline = saga_deadline
        self._attempt_timeout = attempt_timeout
        self._retry = Retry() if retry is None else retry
        self._credentials = {} if token is None else {"authorization": f"Bearer {token}"}
        self._http = httpx.AsyncClient() if http is None else http
        self._transport = Transport(url, headers=self._credentials, http=self._http)
        self._stream = stream
        self._random = Random() if random is None else random  # noqa: S311 - jitter

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    # -- queries -------------------------------------------------------------------------------------------------------

    async def _query(self, operation: Operation, model: type[M], *, deadline: float | None) -> Result[M]:
        """Raises: GraphError when there is no data at all, NoAnswer."""
        answer = await self._answer(operation, until=self._until(self._deadline if deadline is None else deadline))
        return _result(answer, model.model_validate(answer.data))

    async def _answer(
        self,
        operation: Operation,
        *,
        until: float,
        headers: Mapping[str, str] | None = None,
        patient: bool = False,
    ) -> Answer:
        """The first answer with data; `patient`: as often as the time allows. Raises: what the last attempt did."""
        body = json.dumps(operation.payload()).encode()
        failed = 0
        while True:
            timeout = min(max(0.001, self._left(until)), self._attempt_timeout)
            try:
                return await self._transport.send(body, headers=headers or {}, timeout=timeout)
            except (GraphError, NoAnswer) as error:
                failed += 1
                wait = self._next_wait(error, failed=failed, until=until, patient=patient)
                if wait is None:
                    raise
            await asyncio.sleep(wait)

    # -- sagas ---------------------------------------------------------------------------------------------------------

    async def _settle(
        self, operation: Operation, field: str, model: type[M], *, key: str | None, deadline: float | None
    ) -> Result[M]:
        """Begin the saga of `field`, or find it by its key, follow it to its end, and read what came of it.

        `model`: of the member of the payload that tells of success. Raises: SagaEnded, GraphError, NotSettled.
        """
        key = new_key() if key is None else key
        until = self._until(self._saga_deadline if deadline is None else deadline)
        saga_id: str | None = None
        rounds = 0
        try:
            while True:
                answer = await self._answer(operation, until=until, headers={"idempotency-key": key}, patient=True)
                payload: Mapping[str, Any] = answer.data[field]
                if not is_accepted(payload):
                    break
                saga_id, rounds = payload["sagaId"], rounds + 1
                await self._see_end(payload["sagaId"], until=until)
                if rounds > 1:  # it has ended, and the mutation does not say so yet: never a tight loop
                    await self._rest(rounds, until=until)
        except SagaQLError as error:
            if error.retryable:
                raise _not_settled(key, saga_id) from error
            error.key = key
            raise
        ended = error_of(payload)
        if ended is not None:
            ended.key = key
            raise ended
        return _result(answer, model.model_validate(payload))

    async def _see_end(self, saga_id: str, *, until: float) -> None:
        """Returns when the saga is settled, or cannot be seen. Raises: NoAnswer at the deadline, and what a query raises.

        A stream that breaks, or is silent for as long as an attempt may take, is followed by a look: so a saga is seen to its end
        where no WebSocket gets through, and where one is dead and nobody says so.
        """
        after, failed = 0, 0
        cause: Exception | None = None
        while True:
            watch = Operation(WATCH, None, {"id": saga_id, "after": after})
            try:
                async with aclosing(self._open(watch)) as events:
                    while (
                        event := await self._next(events, until=min(until, self._until(self._attempt_timeout)))
                    ) is not None:
                        after, failed = event["sagaEvents"]["sequence"], 0
                        if event["sagaEvents"]["saga"]["status"] in SETTLED:
                            return
                return
            except (StreamBroken, GraphError, NoAnswer) as error:
                failed, cause = failed + 1, error
            looked = await self._answer(Operation(LOOK, None, {"id": saga_id}), until=until, patient=True)
            saga: Mapping[str, Any] | None = looked.data["saga"]
            if saga is None or saga["status"] in SETTLED:
                return
            await self._rest(failed, until=until, cause=cause)

    async def _follow(
        self, operation: Operation, field: str, model: type[M], *, deadline: float | None
    ) -> AsyncGenerator[M]:
        """Events of a saga, none lost and none twice, over as many connections as it takes; ends with the saga.

        Without a deadline it follows as long as the saga goes on, and gives up after `saga_deadline` without a sign of the gateway.
        Raises: GraphError (SAGA_NOT_FOUND), NoAnswer.
        """
        given = as_json(operation.variables).get("after")
        after, failed = 0 if given is None else int(given), 0
        until = math.inf if deadline is None else self._until(deadline)
        gone_until = math.inf
        while True:
            opened = self._until(0)
            try:
                watched = Operation(operation.text, operation.name, {**operation.variables, "after": after})
                async with aclosing(self._open(watched)) as events:
                    while (event := await self._next(events, until=until)) is not None:
                        after, failed = event[field]["sequence"], 0
                        yield model.model_validate(event[field])
                return
            except (StreamBroken, GraphError) as error:
                if isinstance(error, GraphError) and not error.retryable:
                    raise
                if self._left(opened) < -OPENED_WITHIN:  # it was open, and had nothing to tell
                    failed = 0
                failed += 1
                gone_until = self._until(self._saga_deadline) if failed == 1 else gone_until
                await self._rest(failed, until=min(until, gone_until), cause=error)

    async def _next(self, events: AsyncGenerator[dict[str, Any]], *, until: float) -> dict[str, Any] | None:
        """The next event, or None after the last. Raises: NoAnswer at the deadline."""
        try:
            async with asyncio.timeout(None if until == math.inf else self._left(until)):
                return await anext(events, None)
        except TimeoutError as error:
            raise NoAnswer("the saga has not ended in time") from error

    def _open(self, operation: Operation) -> AsyncGenerator[dict[str, Any]]:
        return self._stream(self._url, operation.payload(), self._credentials)

    # -- time ----------------------------------------------------------------------------------------------------------

    def _until(self, seconds: float) -> float:
        return asyncio.get_running_loop().time() + seconds

    def _left(self, until: float) -> float:
        return until - asyncio.get_running_loop().time()

    def _next_wait(self, error: SagaQLError, *, failed: int, until: float, patient: bool) -> float | None:
        if not error.retryable:
            return None
        left, jitter = self._left(until), self._random.random()
        return self._retry.next_wait(failed, jitter=jitter, floor=error.retry_after, left=left, patient=patient)

    async def _rest(self, failed: int, *, until: float, cause: Exception | None = None) -> None:
        """Wait before the next connection, as long as the gateway asks. Raises: NoAnswer where that would reach the deadline."""
        floor = cause.retry_after if isinstance(cause, SagaQLError) else 0.0
        wait = self._retry.wait(failed, jitter=self._random.random(), floor=floor)
        if wait >= self._left(until):
            raise NoAnswer("the saga has not ended in time") from cause
        await asyncio.sleep(wait)


def new_key() -> str:
    """An idempotency key for one intent. Keep it with the intent where that must outlive this process."""
    return str(uuid4())


def _result(answer: Answer, data: M) -> Result[M]:
    degraded = tuple(Degraded.of(each) for each in answer.extensions.get("degraded") or ())
    return Result(data, answer.errors, degraded, answer.extensions)


def _not_settled(key: str, saga_id: str | None) -> NotSettled:
    begun = f"the saga {saga_id} goes on" if saga_id else "whether it was begun is not known"
    return NotSettled(f"the deadline passed and {begun}: call again with key={key!r}", key=key, saga_id=saga_id)
