"""A saga in GraphQL: `place_order = saga_field(PlaceOrder)` is the mutation and its payload union.

However a saga stands, the client gets data with status 200: done, refused, failed and undone, still running, waiting for a person,
or a key that was used for something else. Never an error with an unknown state. Invariant: "accepted" is said only after the
journal has the saga.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from operator import or_
from typing import Annotated, Any

import strawberry
from graphql import (
    GraphQLResolveInfo,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    ValueNode,
    VariableNode,
    value_from_ast_untyped,
)
from strawberry.types.base import has_object_definition

from ..clock import NEVER, Seconds
from ..errors import BadUserInput, RequestError, SagasUnavailable, Violation
from ..sagas import (
    Completed,
    Definition,
    Failed,
    IdempotencyConflict,
    NeedsAttention,
    Owner,
    Rejected,
    Saga,
    SagaState,
    SagaView,
    definition_of,
)
from .access import Allow, closed_for, lets, refusal
from .context import BegunSaga, Ctx
from .pricing import pricing
from .resolver import ResolverField
from .rules import Length, Pattern, checked

ANSWER_MARGIN = Seconds(0.1)
"""Left of the operation's deadline for writing the answer."""

_KEY = Annotated[str | None, Length(1, 255), Pattern(r"[\x21-\x7e]+", "visible ASCII characters without spaces")]
_KEY_SHAPE = re.compile(r"[\x21-\x7e]{1,255}")

SagaStatus = strawberry.enum(SagaState, name="SagaStatus", description="How far a saga is.")

_STATUS_MEANING = {
    SagaState.RUNNING: "Steps are being done.",
    SagaState.COMPENSATING: "What was done is being undone.",
    SagaState.FORWARD_ONLY: "Past the point of no return: it will be completed.",
    SagaState.COMPLETED: "Every step is done.",
    SagaState.COMPENSATED: "Everything that was done is undone.",
    SagaState.NEEDS_ATTENTION: "It can neither go on nor back by itself and waits for a person.",
}
for _value in SagaStatus.__strawberry_definition__.values:  # type: ignore[attr-defined]
    _value.description = _STATUS_MEANING[SagaState(_value.name)]


@strawberry.enum(description="Whether the answer waits for the saga's end.")
class SagaMode(Enum):
    SYNC = strawberry.enum_value("SYNC", description="Up to a bound; then `SagaAccepted`, and the saga goes on.")
    ASYNC = strawberry.enum_value("ASYNC", description="Not at all: `SagaAccepted` as soon as it is durable.")


@strawberry.interface(name="SagaOutcome", description="What every answer of a saga tells.")
class SagaOutcome:
    saga_id: strawberry.ID = strawberry.field(description="Follow it with `saga(id)`.")
    status: SagaStatus = strawberry.field(description="How far the saga is.")  # type: ignore[valid-type]


@strawberry.type(name="SagaAccepted", description="It is durable and still running; it will end, done or undone.")
class AcceptedPayload(SagaOutcome):
    pass


@strawberry.type(name="SagaRejected", description="The business said no; nothing of it remains.")
class RejectedPayload(SagaOutcome):
    code: str = strawberry.field(description="Machine-readable reason.")
    message: str = strawberry.field(description="The reason for people.")


@strawberry.type(name="SagaFailed", description="It did not work, and what had been done is undone.")
class FailedPayload(SagaOutcome):
    code: str = strawberry.field(description="Code of the failure.")
    undone: list[str] = strawberry.field(description="Steps that had been done, or may have been, and are undone.")


@strawberry.type(name="SagaNeedsAttention", description="It waits for a person; nothing is lost.")
class NeedsAttentionPayload(SagaOutcome):
    code: str = strawberry.field(description="Code of what stopped it.")


@strawberry.type(
    name="IdempotencyConflict", description="This key was used before with another input; nothing was begun."
)
class ConflictPayload(SagaOutcome):
    message: str = strawberry.field(description="What to do.")


@dataclass(frozen=True, slots=True)
class Payload:
    """The GraphQL face of one saga: its success type, that type's field for the result, and the union."""

    success: type[Any]
    result_field: str
    union: Any


class SagaField(ResolverField):
    """The mutation field of a saga; the app registers its definition with the host."""

    definition: Definition
    older: tuple[Definition, ...] = ()

    def admit(
        self, source: Any, arguments: Mapping[str, Any], ctx: Ctx, info: strawberry.Info[Any, Any] | None
    ) -> None:
        """The parent of the access rule is the input, which it reads only where the input's own rules are kept."""
        may = not closed_for(self.allow, ctx.identity)
        if may:
            checked(self.checks, arguments)
            may = self.allow is None or lets(self.allow, arguments["input"], ctx.identity)
        if not may:
            raise refusal(ctx.identity, "mutation")

    def __copy__(self) -> "SagaField":
        copy = super().__copy__()
        assert isinstance(copy, SagaField)  # noqa: S101 - type(self)(...) made it
        copy.definition, copy.older = self.definition, self.older
        return copy


def saga_field(
    saga: type[Saga[Any, Any]],
    *,
    older: Sequence[type[Saga[Any, Any]]] = (),
    description: str | None = None,
    allow: Allow | None = None,
    cost: int | None = None,
) -> Any:
    """The mutation that begins `saga` and waits for it, a bounded time.

    `older`: earlier versions of it (`class PlaceOrderV1(Saga[...], version=1, name="PlaceOrder")`), kept until the last saga that
    was begun under them has ended; none is begun any more.

    `allow`: who may begin it; who may not is refused before the journal is touched. Its parent is the input:
    `allow=scope("support") | own(lambda order, identity: order.customer_id == identity.subject)`.

    `cost`: what it costs besides the calls of its steps.

    Arguments in the graph: `input` and `idempotencyKey`. Raises in the answer: BAD_USER_INPUT for broken rules or a missing
    key, SAGAS_UNAVAILABLE when nothing could be begun.
    """
    definition = definition_of(saga)
    payload = _payload(definition)

    async def begin(
        info: strawberry.Info,
        ctx: Ctx,
        input: Any,  # noqa: A002
        idempotency_key: Any = None,
        mode: SagaMode = SagaMode.SYNC,
    ) -> Any:
        key = choose_key(definition, argument=idempotency_key, header=ctx.idempotency_key)
        # strawberry has no public name for graphql-core's info
        digest = input_hash(info._raw_info, ctx, definition)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return await _run(
            definition,
            payload,
            ctx=ctx,
            value=input,
            key=key,
            input_hash=digest,
            mode=mode,
            response_key=str(info.path.key),
        )

    begin.__annotations__.update({"input": definition.input_type, "idempotency_key": _KEY, "return": payload.union})
    made = SagaField.of(
        begin,
        description=description or definition.description,
        allow=allow,
        directives=pricing(cost, None),
    )
    assert isinstance(made, SagaField)  # noqa: S101 - `of` makes its own class
    made.python_name = _snake(definition.name)
    made.definition = definition
    made.older = tuple(definition_of(each) for each in older)
    return made


async def _run(
    definition: Definition,
    payload: Payload,
    *,
    ctx: Ctx,
    value: Any,
    key: str | None,
    input_hash: str,
    mode: SagaMode,
    response_key: str,
) -> SagaOutcome:
    """Begin, wait, say how it stands."""
    host = ctx.sagas
    if host is None:
        raise SagasUnavailable("this gateway runs no sagas: set [sagas] in gateway.toml")
    ticket = await host.begin(
        definition.saga,
        value,
        owner=Owner(ctx.identity.tenant, ctx.identity.subject),
        key=key,
        input_hash=input_hash,
        trace=ctx.telemetry.trace_headers(),
    )
    if isinstance(ticket, IdempotencyConflict):
        return await _conflict(ticket, ctx)
    ctx.loads.reading.spent.sagas += ticket.created
    view = await host.wait(ticket.saga_id, timeout=NEVER if mode is SagaMode.ASYNC else _patience(ctx))
    if ctx.begun is not None:
        ctx.begun[response_key] = BegunSaga(view, is_new=ticket.created)
    return _outcome(view, payload)


def _patience(ctx: Ctx) -> Seconds:
    left = ctx.deadline.remaining(ctx.clock) - ANSWER_MARGIN
    return Seconds(max(0.0, min(ctx.saga_wait, left)))


def _outcome(view: SagaView, payload: Payload) -> SagaOutcome:
    about: dict[str, Any] = {"saga_id": strawberry.ID(view.id), "status": view.status}
    match view.outcome:
        case Completed():
            success: SagaOutcome = payload.success(**about, **{payload.result_field: view.result()})
            return success
        case Rejected(code, message):
            return RejectedPayload(**about, code=code, message=message)
        case Failed(code, undone):
            return FailedPayload(**about, code=code, undone=list(undone))
        case NeedsAttention(code):
            return NeedsAttentionPayload(**about, code=code)
        case None:
            return AcceptedPayload(**about)


async def _conflict(conflict: IdempotencyConflict, ctx: Ctx) -> ConflictPayload:
    view = None if ctx.sagas is None else await ctx.sagas.view(conflict.saga_id)
    return ConflictPayload(
        saga_id=strawberry.ID(conflict.saga_id),
        status=SagaState.RUNNING if view is None else view.status,
        message="this idempotency key was used with another input: use a new key for a new request",
    )


def _payload(definition: Definition) -> Payload:
    """The success type and the union of a saga."""
    result_type = definition.result_type
    if not has_object_definition(result_type):
        raise TypeError(
            f"{definition.name}: its result {result_type!r} is no strawberry type, so no client could read it"
        )
    result_field = _snake(result_type.__name__)
    success = strawberry.type(
        type(
            f"{definition.name}Completed",
            (SagaOutcome,),
            {
                "__annotations__": {result_field: result_type},
                result_field: strawberry.field(description="What came of it."),
                "__module__": definition.saga.__module__,
            },
        ),
        description=f"{definition.name} is done.",
    )
    members = (success, AcceptedPayload, RejectedPayload, FailedPayload, NeedsAttentionPayload, ConflictPayload)
    named = strawberry.union(f"{definition.name}Payload", description=f"How {definition.name} stands.")
    annotated: Any = Annotated  # type checkers take a subscript for an alias, and this one is made at run time
    union = annotated[reduce(or_, members), named]
    return Payload(success=success, result_field=result_field, union=union)


def choose_key(definition: Definition, *, argument: str | None, header: str | None) -> str | None:
    """The idempotency key of a begin.

    Raises: RequestError when argument and header differ, BadUserInput when a required key is missing or malformed.
    """
    if argument is not None and header is not None and argument != header:
        raise RequestError("idempotencyKey and the Idempotency-Key header differ: send one of them")
    key = argument if argument is not None else header
    if key is not None and _KEY_SHAPE.fullmatch(key) is None:
        raise BadUserInput("an idempotency key has 1 to 255 visible ASCII characters")
    if key is None and definition.key == "required":
        raise BadUserInput(
            f"{_camel(definition.name)} needs an idempotency key, the same on every retry of one intent: "
            "pass idempotencyKey or the Idempotency-Key header, for example a new UUID",
            violations=[Violation(("idempotencyKey",), "is required", "required")],
        )
    return key


def input_hash(info: GraphQLResolveInfo[Any], ctx: Ctx, definition: Definition) -> str:
    """sha256 over the provided input, before any default: a deploy that adds a defaulted field changes no hash.

    An input that holds secrets is hashed under each key of the settings: nobody who has the journal can try out what it was,
    and an honest retry is still known after a key was rotated. Raises: SagasUnavailable without a key. A change of this function
    must raise `gateway.sagas.journal.HASH_VERSION`.
    """
    node = next(
        (each.value for each in info.field_nodes[0].arguments or () if each.name.value == "input"), NullValueNode()
    )
    provided = _provided(node, info.operation, ctx.raw_variables)
    canonical = json.dumps(
        provided, sort_keys=True, separators=(",", ":")
    ).encode()  # numbers of any length, unlike orjson
    if not definition.input_holds_secrets:
        return hashlib.sha256(canonical).hexdigest()
    if ctx.secret_keys is None:
        raise SagasUnavailable("this gateway has no key for secrets: set sagas.secret_key; nothing was begun")
    return " ".join(ctx.secret_keys.fingerprints(canonical))


def _provided(node: ValueNode, operation: OperationDefinitionNode, raw: Mapping[str, Any]) -> Any:
    """What the client wrote, with its variables put in: those it sent, else the operation's own defaults."""
    defaults = {
        each.variable.name.value: value_from_ast_untyped(each.default_value)
        for each in operation.variable_definitions or ()
        if each.default_value is not None
    }
    return _untyped(node, {**defaults, **raw})


def _untyped(node: ValueNode, variables: Mapping[str, Any]) -> Any:
    """The node's value; a member whose variable was not sent is not provided, as GraphQL has it, and not null."""
    if isinstance(node, ObjectValueNode):
        return {
            member.name.value: _untyped(member.value, variables)
            for member in node.fields
            if not (isinstance(member.value, VariableNode) and member.value.name.value not in variables)
        }
    if isinstance(node, ListValueNode):
        return [_untyped(each, variables) for each in node.values]
    return value_from_ast_untyped(node, dict(variables))


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]
