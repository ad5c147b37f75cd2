"""From a history to what may be shown of it.

Invariant: a view is computed from the record and the events alone, so a running and a stored saga look the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from .codec import Codec
from .core import outcome
from .definition import Argument, Definition
from .host import SagaView, StepView
from .journal import SagaRecord
from .known import Done, Unknown
from .progress import SagaProgress, StepProgress
from .states import SagaState
from .vault import Vault


def view_of(definition: Definition, record: SagaRecord, progress: SagaProgress, *, codec: Codec) -> SagaView:
    is_done = progress.state is SagaState.COMPLETED
    return SagaView(
        id=record.id,
        saga=record.saga,
        version=record.version,
        owner=record.owner,
        status=progress.state,
        outcome=outcome(progress),
        steps=tuple(_step_view(name, step) for name, step in progress.steps.items()),
        created_at=record.created_at,
        ended_at=progress.ended_at,
        deadline_at=record.deadline_at,
        cause=None if progress.cause is None else progress.cause.code,
        input=record.input,
        compute_result=partial(_result, definition, record, progress, codec) if is_done else None,
        record=record,
        progress=progress,
    )


def retired_view(record: SagaRecord) -> SagaView:
    """Of a saga whose version is no longer registered: what the record alone says."""
    return SagaView(
        id=record.id,
        saga=record.saga,
        version=record.version,
        owner=record.owner,
        status=record.state,
        outcome=None,
        steps=(),
        created_at=record.created_at,
        ended_at=record.ended_at,
        deadline_at=record.deadline_at,
        input=record.input,
        record=record,
    )


class Values:
    """Input and results of one saga, decoded once each, as a step will see them before and after a crash alike."""

    def __init__(self, definition: Definition, record: SagaRecord, *, codec: Codec, vault: Vault | None = None) -> None:
        """Without a `vault` secrets are gone: so they are for `result`, which is computed whenever it is read."""
        self._definition = definition
        self._record = record
        self._codec = codec
        self._vault = vault
        self._decoded: dict[str, Any] = {}
        self._input: Any = _NOT_YET

    def arguments(
        self, arguments: tuple[Argument, ...], steps: Mapping[str, StepProgress], *, ctx: object
    ) -> dict[str, Any]:
        """Keyword arguments for a method of the saga."""
        return {argument.parameter: self._value(argument, steps, ctx=ctx) for argument in arguments}

    def _value(self, argument: Argument, steps: Mapping[str, StepProgress], *, ctx: object) -> Any:
        if argument.source == "ctx":
            return ctx
        if argument.source == "input" or argument.step is None:
            return self._read_input()
        step = steps[argument.step]
        if argument.source == "known":
            return Unknown() if step.result is None else Done(self._read_result(argument.step, step))
        return self._read_result(argument.step, step)

    def _read_input(self) -> Any:
        if self._input is _NOT_YET:
            place = None if self._vault is None else self._vault.of_input()
            self._input = self._codec.decode(self._record.input, self._definition.input_type, place=place)
        return self._input

    def _read_result(self, name: str, step: StepProgress) -> Any:
        if name not in self._decoded:
            if step.result is None:
                raise LookupError(f"step {name!r} has no result")
            place = None if self._vault is None else self._vault.of_step(name)
            yields = self._definition.bindings[name].yields
            self._decoded[name] = self._codec.decode(step.result, yields, place=place)
        return self._decoded[name]


_NOT_YET: Any = object()


def _result(definition: Definition, record: SagaRecord, progress: SagaProgress, codec: Codec) -> Any:
    values = Values(definition, record, codec=codec)
    compute: Callable[..., Any] = definition.result
    return compute(definition.saga(), **values.arguments(definition.result_arguments, progress.steps, ctx=None))


def _step_view(name: str, step: StepProgress) -> StepView:
    return StepView(
        name=name,
        status=step.state,
        attempts=step.attempts,
        undo_attempts=step.undo_attempts,
        code=step.code,
        started_at=step.started_at,
        ended_at=step.ended_at,
        next_at=step.retry_at if step.retry_at is not None else step.waits_until,
        result=step.result,
    )
