"""A plan is followed: layer by layer, each subtree as far as it can go by itself. Source: GraphQL's "Executing Operations".

A layer's plain members are written at once; what has to be called, loaded or waited for goes on in tasks of its own, so a slow
service holds back nobody but what stands below it. What is deferred is begun with the rest, so that it shares its calls, by a run
of its own that this one does not wait for; in a mutation it is begun when the last field has ended. Invariants: every member has
its place in the answer before its value is known, so the order of keys is the document's; an error is reported once what it nulls
has its place, by graphql-core's own rule; whoever works for a part of the answer that became null is cancelled, and nobody works
on after the run has ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from types import CoroutineType
from typing import Any

from graphql import GraphQLError, GraphQLResolveInfo, GraphQLSchema
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.executor import Executor, default_field_resolver, default_type_resolver
from graphql.execution.values import VariableValues
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from ..graph import Ctx, JoinField
from ..graph.batched import BatchedField
from ..graph.join_column import Asking, join_column
from ..graph.methods import awaited, method_of
from ..graph.node import global_ids
from ..graph.resolver import Bounded
from ..identity import Identity
from ..loading.calls import Wanted
from ..loading.records import objects_of
from .arguments import Arguments
from .columns import columns_of, each_of
from .completion import Completion
from .failing import Failing
from .group import Group
from .layer import Layer, Trail
from .leaves import needs_a_look
from .on_error import OnError
from .plan import Batched, Deferred, Joined, Method, NodeId, PlannedField, Resolved
from .program import Program
from .result import Executed
from .stage import Member, Stage
from .tasks import Arrivals, Tasks, Work, by_length, cancelled, outcome

_TYPE_RESOLVER: Any = default_type_resolver
"""graphql-core's own types do not agree with one another here."""

_Read = tuple[Sequence[list[Any]], list[Completion]]
"""Of a layer that was opened: the attributes that were read, and the columns in which something is to be reported."""


class Run:
    """One execution of a program."""

    def __init__(
        self,
        program: Program,
        schema: GraphQLSchema,
        ctx: Ctx,
        variables: VariableValues,
        *,
        on_error: OnError = OnError.PROPAGATE,
    ) -> None:
        self._program = program
        self._plan = program.plan
        self._schema = schema
        self._ctx = ctx
        self._spent = ctx.loads.reading.spent
        self._variables = variables
        self._arguments = Arguments(schema, variables, program.argument_names)
        self._on_error = on_error
        self._failing = Failing(on_error)
        self._executor: Executor[Any] | None = None
        self._read: dict[Layer, _Read] = {}
        self._tasks = Tasks()
        self._root: Layer | None = None
        self.groups: list[Group] = []
        """What is deferred, in the order in which it was found."""
        self._late: list[tuple[Layer, Deferred]] | None = None
        """In a mutation: what is deferred, to be begun when the last of its fields has ended."""
        self._made: list[Coroutine[Any, Any, Any] | Bounded] = []
        """What resolvers gave to be awaited, and ours for it: what nobody began to await is closed in the end."""
        self._wanted = program.wanted
        self._expected = program.expected
        self.stage = program.stage
        self.finisher = program.finisher

    async def result(self) -> Executed:
        """Data and errors, nothing being deferred."""
        try:
            return await self.first()
        finally:
            await self.close()

    async def first(self) -> Executed:
        """Data and errors of what is not deferred. Whoever asks for it closes the run."""
        root = self._root = self._opened(self.stage(self._plan.root), [None], up=None, field=None)
        if self._plan.is_serial:
            await self._one_by_one(root)
        else:
            await self._all(self._continued(root))
        return Executed(None if root.is_dead else root.outs[0], self.errors)

    async def _one_by_one(self, root: Layer) -> None:
        """The fields of a mutation. Nothing that is deferred is read before all of them have written."""
        late: list[tuple[Layer, Deferred]] = []
        self._late = late
        for field in root.stage.later:
            await self._all(self._begun(root, field))
        for layer, deferred in late:
            self._defer(layer, deferred)

    def begin(self, group: Group) -> None:
        """Whatever is deferred in the group's fragment, of all its objects."""
        stage, objects = self.stage(group.deferred.selection), group.base.objects
        if not stage.trusts.objects(objects):
            objects = objects_of(objects)
        self._root = group.holder
        layer = self._opened(stage, objects, up=group.holder, field=group.holder.held)
        group.holder.hold(layer.outs)
        self._tasks.begin(self._continued(layer))

    async def end(self) -> None:
        """Wait for what was begun."""
        await self._tasks.end()

    async def close(self) -> None:
        """Whatever is still under way is cancelled, what is deferred too."""
        for group in self.groups:
            await group.close()
        await self._tasks.cancel()
        for each in self._made:
            each.close()
        if self._root is not None:
            self._root.let_go()

    @property
    def errors(self) -> list[GraphQLError]:
        return self._failing.errors

    # -- layers --------------------------------------------------------------------------------------------------------

    def open(self, stage: Stage, objects: Sequence[Any], *, up: Layer, field: PlannedField) -> Layer:
        """The layer of these objects, found at `field` of the layer above, all that is known of them at once written."""
        self._spent.objects += len(objects)
        return self._opened(stage, objects, up=up, field=field)

    def _opened(self, stage: Stage, objects: Sequence[Any], *, up: Layer | None, field: PlannedField | None) -> Layer:
        layer = Layer(stage, objects, up=up, field=field)
        if stage.weight:
            self._spent.weights += stage.weight * len(objects)
        certain = stage.declared.of(objects)
        copied = None if certain.copy is None else certain.copy(objects)
        if copied is not None:
            layer.outs = copied
            self._read[layer] = (), []
            return layer
        columns = columns_of(stage, objects)
        to_report: list[Completion] = []
        written = [
            columns[member.found]
            if isinstance(member.found, int) and member.field in certain.fields
            else self._written(layer, member, columns, to_report)
            for member in stage.members
        ]
        layer.outs = stage.write(len(objects), *written)
        self._read[layer] = columns, to_report
        return layer

    def _written(
        self, layer: Layer, member: Member, columns: Sequence[list[Any]], to_report: list[Completion]
    ) -> Sequence[Any]:
        """A member's column as it stands in the answer; noted where something of it is to be reported."""
        field, values = member.field, self._found(layer, member, columns)
        done = member.finish(values)
        if done is not None:
            return done
        completion = Completion(self, layer, field)
        to_report.append(completion)
        return completion.leaves_one_by_one(member.leaf, values)

    def _found(self, layer: Layer, member: Member, columns: Sequence[list[Any]]) -> Sequence[Any]:
        """A member's values before they are finished."""
        field, found = member.field, member.found
        if not isinstance(found, int):
            return self._called(field, found, layer, layer.objects)
        if isinstance(field.source, NodeId):
            return self._ids(field, field.source.field, layer, columns[found])
        return columns[found]

    def _continued(self, layer: Layer) -> list[Work]:
        """What follows once the layer's objects stand in the answer. Returns what has to be waited for."""
        columns, to_report = self._read.pop(layer)
        works = [work for completion in to_report for work in self._reported(completion)]
        for nested in layer.stage.nested:
            refused = self._refused(layer, nested.field)
            works += self._delivered(layer, nested.field, columns[nested.column] if refused is None else refused)
        for field in layer.stage.later:
            works += self._begun(layer, field)
        for deferred in layer.stage.deferred:
            if self._late is None:
                self._defer(layer, deferred)
            else:
                self._late.append((layer, deferred))
        return works

    def _defer(self, layer: Layer, deferred: Deferred) -> None:
        if not layer.is_dead:
            beside = Run(self._program, self._schema, self._ctx, self._variables)
            group = Group(beside, layer, deferred)
            self.groups.append(group)
            beside.begin(group)

    # -- fields --------------------------------------------------------------------------------------------------------

    def _begun(self, layer: Layer, field: PlannedField) -> list[Work]:
        """Ask for the field's values in this very tick, so that all that the layer asks for travels together."""
        if layer.is_dead:
            return []
        refused = self._refused(layer, field)
        if refused is not None:
            return self._delivered(layer, field, refused)
        match field.source:
            case Joined(join):
                return self._joined(layer, field, join)
            case Batched(batch):
                return self._batched(layer, field, batch)
            case Method(declared):
                return self._delivered(layer, field, self._called(field, declared, layer, layer.objects))
            case Resolved(resolve):
                return self._delivered(layer, field, self._resolved(layer, field, resolve))
            case _:
                raise AssertionError(f"{field.coordinate} is read at once")

    def _refused(self, layer: Layer, field: PlannedField) -> Sequence[Exception] | None:
        """What stands in the column of a field that the caller may not have; None where it is asked for."""
        gate, identity = field.gate, self._ctx.identity
        if gate is None or gate.lets(identity, self._on_error):
            return None
        return [gate.refusal(identity)] * len(layer.objects)

    def _joined(self, layer: Layer, field: PlannedField, join: JoinField) -> list[Work]:
        try:
            calls, values = join_column(join, layer.objects, self._asking(layer, field))
        except Exception as error:  # for all of them: the client's arguments, or a declaration that does not fit
            return self._delivered(layer, field, [error] * len(layer.objects))
        if not calls:
            return self._delivered(layer, field, values())
        self._tasks.expect(layer, calls, lambda: self._tasks.begin(self._delivered(layer, field, values())))
        return []

    def _batched(self, layer: Layer, field: PlannedField, batch: BatchedField) -> list[Work]:
        try:
            column = batch.column(layer.objects, self._ctx, self._asking(layer, field).arguments)
        except Exception as error:  # for all of them: the client's arguments
            return self._delivered(layer, field, [error] * len(layer.objects))
        return [self._work(layer, self._arrived(layer, field, column))]

    async def _arrived(self, layer: Layer, field: PlannedField, column: Callable[[], Awaitable[Sequence[Any]]]) -> None:
        try:
            values = await column()
        except Exception as error:  # for all of them
            values = [error] * len(layer.objects)
        self._tasks.begin(self._delivered(layer, field, values))

    def _called(
        self, field: PlannedField, declared: StrawberryField, layer: Layer, parents: Sequence[Any]
    ) -> Sequence[Any]:
        """What the resolver of `declared` gives for each of `parents`, which stand for the layer's objects."""
        expected = self._expected.get(field)
        ctx = self._ctx if expected is None else self._ctx.expecting(expected)

        def one_with_its_own(index: int) -> Any:
            own = self._asking(layer, field, index).arguments
            return method_of(declared, ctx, own)(parents[index])

        try:
            arguments = self._asking(layer, field).arguments
        except Exception as error:  # the client's arguments are wrong, for each parent alike
            return [error] * len(parents)
        if len(parents) == 1 or self._arguments.are_shared(field):
            values = each_of(method_of(declared, ctx, arguments), parents)
        else:  # a resolver may change an input that it is handed
            values = each_of(one_with_its_own, range(len(parents)))
        if needs_a_look(set(map(type, values))):
            return [awaited(declared, value, self._ctx) for value in values]
        return values

    def _ids(self, field: PlannedField, declared: StrawberryField, layer: Layer, keys: Sequence[Any]) -> Sequence[Any]:
        """All at once, where the objects are the entity's own and their keys are texts."""
        entity = layer.stage.trusts.entity(layer.objects)
        if entity is not None and {str}.issuperset(map(type, keys)):
            with suppress(UnicodeError):  # of half a character: whose key that is, is found out one by one
                return global_ids(entity, keys)
        return self._called(field, declared, layer, objects_of(layer.objects))

    def _resolved(self, layer: Layer, field: PlannedField, resolve: Callable[..., Any]) -> Sequence[Any]:
        """Each parent's value as graphql-core would ask for it."""

        def one(index: int) -> Any:
            arguments = self._arguments.of(field)
            return resolve(layer.objects[index], self.info(layer, field, index), **arguments)

        return each_of(one, range(len(layer.objects)))

    def _asking(self, layer: Layer, field: PlannedField, index: int = 0) -> Asking:
        """Raises: GraphQLError for arguments that do not fit their types."""
        declared: StrawberryField = field.definition.extensions["strawberry-definition"]

        def info(index: int) -> Info[Any, Any]:
            return Info(_raw_info=self.info(layer, field, index), _field=declared)

        arguments = self._arguments.converted(field, declared, lambda: info(index))
        wanted = self._wanted.get(declared.loader) if isinstance(declared, JoinField) else None
        return Asking(ctx=self._ctx, arguments=arguments, info=info, wanted=wanted)

    def wanted_of(self, field: PlannedField) -> Wanted:
        """What the plan reads of what the field's resolver hands on; None: all of it."""
        expected = self._expected.get(field)
        return None if expected is None else expected.wanted

    @property
    def identity(self) -> Identity:
        return self._ctx.identity

    def info(self, layer: Layer, field: PlannedField, index: int) -> GraphQLResolveInfo[Any]:
        """What graphql-core tells a resolver of the object's field. Raises: LookupError where the object stands nowhere."""
        path = layer.path_at(field, (index,))
        return self.executor.build_resolve_info(field.definition, field.nodes, field.parent, path)

    @property
    def executor(self) -> Executor[Any]:
        """graphql-core's own, made when somebody needs it: it executes nothing here."""
        if self._executor is None:
            plan = self._plan
            self._executor = Executor(
                self._schema,
                dict(plan.fragments),
                {name: FragmentDetails(each, None) for name, each in plan.fragments.items()},
                None,
                self._ctx,
                plan.operation,
                self._variables,
                default_field_resolver,
                _TYPE_RESOLVER,
                default_field_resolver,
            )
        return self._executor

    # -- values --------------------------------------------------------------------------------------------------------

    def _delivered(
        self, layer: Layer, field: PlannedField, values: Sequence[Any], trails: Sequence[Trail] | None = None
    ) -> list[Work]:
        """Put the values at `trails` (None: one for each object) into the answer, and go on from there."""
        completion = Completion(self, layer, field, trails)
        found = completion.complete(values)
        if trails is None:
            place = layer.stage.places[field]
            for out, value in zip(layer.outs, found, strict=True):
                setattr(out, place, value)
        else:
            for trail, value in zip(trails, found, strict=True):
                layer.put(field, trail, value)
        return self._reported(completion)

    def _reported(self, completion: Completion) -> list[Work]:
        """Tell what was wrong, go on with what was found, wait for what is to come."""
        layer, field = completion.layer, completion.field
        for trail, error in completion.failures:
            self._failing.fail(layer, field, trail, error)
        works = [work for found in completion.layers for work in self._continued(found)]
        if completion.waits:
            self._made += [each for _, each in completion.waits if isinstance(each, CoroutineType | Bounded)]
            works.append(self._work(layer, self._waited(layer, field, completion.waits)))
        return works

    async def _waited(self, layer: Layer, field: PlannedField, waits: Sequence[tuple[Trail, Awaitable[Any]]]) -> None:
        """Deliver what comes in one tick together, so that what is loaded for it travels together."""
        if len(waits) == 1:
            ((trail, awaitable),) = waits
            self._tasks.begin(self._delivered(layer, field, [await outcome(awaitable)], [trail]))
            return
        arrivals = Arrivals(layer, waits)
        layer.tasks |= arrivals.tasks
        try:
            async for arrived in arrivals:
                for together in by_length(arrived):
                    trails, values = zip(*together, strict=True)
                    self._tasks.begin(self._delivered(layer, field, values, trails))
        finally:
            layer.tasks -= arrivals.tasks
            await cancelled(arrivals.tasks)

    def _work(self, layer: Layer, rest: Coroutine[Any, Any, None]) -> Work:
        self._made.append(rest)
        return Work(layer, rest)

    async def _all(self, works: Sequence[Work]) -> None:
        """Do all of them at once, and all that follows."""
        if len(works) == 1 and not works[0].layer.is_dead:
            await works[0].rest  # in this task: there is nothing beside it
        else:
            self._tasks.begin(works)
        await self._tasks.end()
