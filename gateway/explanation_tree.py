"""An explanation for people: a tree of the operation's fields on a terminal, then what all of it costs and how it fails.

Invariant: says what the data says and adds nothing; readable in `WIDTH` columns and without colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from .execution.cost import CALL, Cost
from .execution.explaining.explanation import (
    Call,
    Effect,
    ExplainedFallback,
    ExplainedField,
    ExplainedJoin,
    ExplainedSaga,
    ExplainedService,
    ExplainedStep,
    Explanation,
    NullAt,
    Path,
    SlowestPath,
    Summary,
)

WIDTH = 100
"""Columns, where the terminal does not say."""

MAX_SHOWN = 60
"""Characters of one argument's value."""


def explained(explanation: Explanation, *, max_cost: int | None = None, is_enforced: bool = False) -> RenderableType:
    """The tree, then the summary. `max_cost`: what an operation may cost, by the settings; None: there is no bound."""
    tree = Tree(_headline(explanation), guide_style="dim")
    _add_fields(tree, explanation.fields, above=None)
    return Group(tree, Text(), _summary(explanation, _limit(explanation.cost, max_cost, is_enforced=is_enforced)))


# -- fields ------------------------------------------------------------------------------------------------------------


def _headline(explanation: Explanation) -> Text:
    name = f" {explanation.name}" if explanation.name else ""
    return Text.assemble(
        (f"{explanation.operation}{name}", "bold"), f" · answered within {_time(explanation.deadline)}"
    )


def _add_fields(tree: Tree, fields: Sequence[ExplainedField], *, above: ExplainedField | None) -> None:
    """What costs nothing stands in one line; every other field has a branch."""
    free = [each for each in fields if _is_free(each)]
    for label, kinds in _FREE.items():
        names = [name for each in free if each.kind in kinds for name in _leaves(each, above=above)]
        if names:
            tree.add(Text.assemble((f"{label}: ", "dim"), ", ".join(names)))
    for field in fields:
        if not _is_free(field):
            _add_field(tree, field, above=above)


_FREE = {"columns": {"column"}, "computed": {"resolver", "batched"}, "introspection": {"introspection"}}
"""What costs no call, under the word for it."""


def _is_free(field: ExplainedField) -> bool:
    return all(not each.calls and each.saga is None for each in field.below())


def _leaves(field: ExplainedField, *, above: ExplainedField | None) -> Iterator[str]:
    """ "price.amount", with what must be known of it."""
    notes = [*_notes(field, above=above)]
    note = f" ({'; '.join(notes)})" if notes else ""
    if not field.fields:
        yield _called(field) + note
    for each in field.fields:
        for leaf in _leaves(each, above=field):
            yield f"{_called(field)}{note}.{leaf}"


def _add_field(tree: Tree, field: ExplainedField, *, above: ExplainedField | None) -> None:
    branch = tree.add(_lines(_field_title(field, above=above), *_field_lines(field)))
    if field.saga is not None:
        _add_steps(branch, field.saga)
    _add_fields(branch, field.fields, above=field)


def _field_title(field: ExplainedField, *, above: ExplainedField | None) -> Text:
    arguments = ", ".join(f"{name}: {_cut(value)}" for name, value in field.arguments.items())
    title = Text.assemble((_called(field), "bold"), f"({arguments})" if arguments else "", f": {field.type}")
    for note in (_origin(field), *_notes(field, above=above)):
        title.append(f" · {note}" if note else "", style="dim")
    return title


def _called(field: ExplainedField) -> str:
    return field.key if field.key == field.name else f"{field.key} = {field.name}"


def _origin(field: ExplainedField) -> str:
    if field.join is not None:
        return f"join on {field.join.on}"
    if field.saga is not None:
        return f"saga {field.saga.name} v{field.saga.version}"
    return "" if field.kind == "column" else field.kind


def _notes(field: ExplainedField, *, above: ExplainedField | None) -> Iterator[str]:
    if above is not None and field.parents != above.types:
        yield f"of {', '.join(field.parents)}"
    if field.only_if is not None:
        yield f"only if {field.only_if}"
    if field.guard is not None:
        yield f"guarded by {field.guard}"
    if field.weight:
        yield f"declared to cost {field.weight} each"


def _field_lines(field: ExplainedField) -> Iterator[Text]:
    for call in field.calls:
        yield Text.assemble((f"layer {field.layer}: ", "dim"), *_call(call))
        if call.same_as is None:
            yield Text(f"  {_manner(call)}", style="dim")
    if field.join is not None:
        if field.join.reconcile is not None:
            yield Text(f"of them is served: {field.join.reconcile}")
        yield Text(f"if that fails: {_fallbacks(field.join)}")
    if field.saga is not None:
        saga = field.saga
        until = "" if saga.pivot is None else f" unless {saga.pivot}, its pivot, is done"
        yield Text(f"idempotency key {saga.key}; answers SagaAccepted if not done within {_time(saga.wait)}")
        yield Text(f"after {_time(saga.deadline)} it is undone{until}")


def _call(call: Call) -> Iterator[str | tuple[str, str]]:
    """ "catalog GET /products-by-id · 1 call per 1000 keys (ids) · limit: 2"."""
    if call.same_as is not None:
        yield f"the same call as {_dotted(call.same_as)}"
        return
    yield (call.service, "cyan")
    yield f" {call.endpoint or 'by HTTP'} · {call.formula}"
    if call.keys is not None:
        yield f" ({call.keys})"
    if call.arguments:
        yield "".join(f" · {name}: {_cut(value)}" for name, value in call.arguments.items())
    if call.arguments is None:
        yield f" · named in its code: {call.declared}"
    if call.one_of is not None:
        yield f", one of {call.one_of}"


def _manner(call: Call) -> str:
    """How it is made: freshness, sharing, attempts, headers."""
    parts = [] if call.fresh is None else [f"fresh for {_time(call.fresh)}" if call.fresh else "not cached"]
    if call.revalidate:
        parts.append(f"served {_time(call.revalidate)} longer while it is asked for anew")
    if call.sharing is not None:
        parts.append("public" if call.sharing == "public" else f"within one {call.sharing}")
    parts.append(f"{_count(call.attempts, 'attempt')} of ≤ {_time(call.attempt_timeout)}")
    if call.is_hedged:
        parts.append("hedged")
    if call.sharing is not None:
        parts.append("coalesced" if call.is_coalesced else "not coalesced")
        parts.append(f"sends {', '.join(call.headers)}" if call.headers else "no client headers")
    if call.max_page is not None:
        parts.append(f"pages of ≤ {call.max_page}")
    return " · ".join(parts)


def _fallbacks(join: ExplainedJoin) -> str:
    return ", else ".join(_fallback(each) for each in join.fallbacks)


def _fallback(fallback: ExplainedFallback) -> str:
    match fallback:
        case ExplainedFallback(kind="default", value=str(value)):
            return f"the default {_cut(value)}"
        case ExplainedFallback(kind="stale", max_age=float(age)):
            return f"the last answer, at most {_time(age)} old"
        case ExplainedFallback(call=Call() as call):
            return f"{call.service} {call.endpoint}"
        case _:
            return "null, with an error"


# -- sagas -------------------------------------------------------------------------------------------------------------


def _add_steps(branch: Tree, saga: ExplainedSaga) -> None:
    steps = branch.add(Text("steps; what they call is named in their code", style="dim"))
    for step in saga.steps:
        steps.add(_lines(_step_title(step), *_step_lines(step)))


def _step_title(step: ExplainedStep) -> Text:
    title = Text.assemble((f"{step.layer} ", "dim"), (step.name, "bold"))
    title.append(" · pivot: after it there is no way back" if step.is_pivot else "", style="bold red")
    title.append(f" · after {', '.join(step.needs)}" if step.needs else "", style="dim")
    return title


def _step_lines(step: ExplainedStep) -> Iterator[Text]:
    for call in step.calls:
        yield Text.assemble((call.service, "cyan"), f" {call.endpoint or 'by HTTP'} · {call.declared}")
    often = "tried until done" if step.attempts is None else _count(step.attempts, "attempt")
    undone = "; nothing to undo" if not (step.undo or step.is_pivot or step.is_after_pivot) else ""
    yield Text(f"{often}, {_time(step.timeout)} each{undone}", style="dim")
    if step.undo is not None:
        calls = ", ".join(f"{call.service} {call.endpoint or 'by HTTP'}" for call in step.undo_calls)
        yield Text(f"undone by {step.undo}: {calls or 'no call is named'}", style="dim")
    if step.invalidates:
        yield Text(f"ends what is fresh of {', '.join(step.invalidates)}", style="dim")


# -- summary -----------------------------------------------------------------------------------------------------------


def _summary(explanation: Explanation, limit: str) -> RenderableType:
    told = explanation.summary
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("executed", _executed(explanation.not_compiled))
    table.add_row("calls", _calls(told))
    table.add_row("cost", f"{_cost(explanation.cost)}{limit}")
    if told.slowest.paths:
        table.add_row("slowest path", _slowest(told.slowest, explanation))
    for service, policies in _services(explanation.services):
        table.add_row("services" if policies is None else "", service)
        if policies is not None:
            table.add_row("", Padding(Text(policies, style="dim"), (0, 0, 0, 2)))
    for outage in told.outages:
        table.add_row(f"{outage.service} down", Group(*(Text(_effect(each)) for each in outage.effects)))
    return table


_WHY = {
    "off": "operation.compile is off",
    "condition": "@skip or @include asks for something that is no plain true, false or variable",
    "directive": "it has a directive that is neither @skip nor @include, or a fragment with variables",
    "introspection": "it asks for the schema",
    "kind": "it is a subscription",
    "too deep": "it is nested too deeply",
    "too large": "it has too many fields",
    "type check": "an object's type is told by a check that has to be awaited",
}


def _executed(why_not: str | None) -> str:
    if why_not is None:
        return "by its own plan, from its second time on"
    return f"by graphql-core, since {_WHY.get(why_not, f'it has no plan ({why_not})')}"


def _cost(cost: Cost) -> str:
    """ "estimated 137: 3 calls at 10, 97 objects, 10 declared"."""
    parts = [f"{_count(cost.calls + cost.saga_calls, 'call')} at {CALL}", _count(cost.objects, "object")]
    declared = [f"{cost.declared} declared"] if cost.declared else []
    return f"estimated {cost.total:,}: {', '.join((*parts, *declared))}"


def _limit(cost: Cost, max_cost: int | None, *, is_enforced: bool) -> str:
    """What the settings say of it."""
    if max_cost is None:
        return ""
    if cost.total <= max_cost:
        return f"; operation.max_cost is {max_cost:,}"
    return f"; {'refused' if is_enforced else 'would be refused'}: operation.max_cost is {max_cost:,}"


def _calls(told: Summary) -> str:
    parts: list[str] = []
    if told.saga_calls:
        parts.append(f"{_count(told.saga_calls, 'call')} of the saga's steps, when nothing fails")
    if told.calls:
        layers = f"{_count(told.layers, 'layer')}{', the saga one of them' if told.saga_calls else ''}"
        parts.append(
            f"at most {_count(told.calls_at_most, 'call')}, in {layers}, as long as every batch fits in one call"
        )
    if told.calls < told.calls_at_most:
        parts.append(f"only {told.calls}, where the fields of a layer are asked for at the same time")
    return "; ".join(parts) or "no call to any service"


def _slowest(path: SlowestPath, explanation: Explanation) -> str:
    chain = " → ".join(_dotted(each) for each in path.paths)
    most = f"{_count(path.attempts, 'attempt')} and the waits between them: " if path.attempts else ""
    ends = f"; the deadline ends it after {_time(explanation.deadline)}" if path.seconds > explanation.deadline else ""
    return f"{chain}\n{most}at most {_time(path.seconds)}{ends}"


def _services(services: Sequence[ExplainedService]) -> Iterator[tuple[str, str | None]]:
    """Services that are called alike are told together."""
    yield ", ".join(each.name for each in services) or "none", None
    alike: dict[str, list[str]] = {}
    for each in services:
        alike.setdefault(_policies(each), []).append(each.name)
    for policies, names in alike.items():
        yield f"{', '.join(names)}:", policies


def _policies(each: ExplainedService) -> str:
    return " · ".join(
        [
            "instances asked for at start" if each.instances is None else _count(each.instances, "instance"),
            *([f"{_count(each.fallback_instances, 'fallback')}"] if each.fallback_instances else []),
            f"reads cut after {_cut_after(each)}, writes after {_time(each.attempt_timeout)}",
            f"{_count(each.retry_attempts, 'attempt')}, waits up to {_time(each.retry_base)} to {_time(each.retry_cap)}",
            f"{_share(each.budget_ratio)} extra attempts",
            "no hedge" if each.hedge_quantile is None else f"hedged after the {_share(each.hedge_quantile)} quantile",
            _breaker(each),
            _bulkhead(each),
            "coalesced" if each.coalesces else "not coalesced",
            f"client headers: {', '.join(each.send_headers) or 'none'}",
        ]
    )


def _cut_after(each: ExplainedService) -> str:
    """Reads learn their timeout, from the floor upwards."""
    longest = _time(each.attempt_timeout)
    is_learnt = each.attempt_timeout_floor < each.attempt_timeout
    return f"{_time(each.attempt_timeout_floor)} to {longest}" if is_learnt else longest


def _breaker(each: ExplainedService) -> str:
    failures = f"{each.breaker_consecutive} failures in a row, or {_share(each.breaker_ratio)} of {each.breaker_volume}"
    lasts = f"{_time(each.breaker_open_for)} to {_time(each.breaker_open_cap)}"
    return f"breaker per {each.breaker_per}: {failures} in {_time(each.breaker_window)}; open {lasts}"


def _bulkhead(each: ExplainedService) -> str:
    limit = f"{'learnt, at most ' if each.bulkhead_is_adaptive else ''}{each.bulkhead_limit}"
    return f"bulkhead {limit}, {each.bulkhead_queue} wait {_time(each.bulkhead_wait)}"


def _effect(effect: Effect) -> str:
    may = "" if effect.is_certain else ", if its code calls it"
    between = "; or " if effect.steps else ", else "
    return f"{_dotted(effect.path)}: {between.join(_becomes(effect))}{may}"


def _becomes(effect: Effect) -> Iterator[str]:
    for each in effect.becomes:
        match each:
            case "partial":
                yield "what its other sources say"
            case "default":
                yield f"the default {_cut(effect.value or '')}"
            case "stale":
                yield f"the last answer, at most {_time(effect.max_age or 0.0)} old"
            case "alternative":
                yield f"what {effect.instead} answers"
            case "null":
                yield f"null{_spread(effect)}"
            case "undone":
                yield f"SagaFailed, and all of it undone, since {' or '.join(effect.steps)} cannot be done"
            case "delayed":
                is_unknown = "undone" in effect.becomes
                end = (
                    "while nobody can tell whether it was" if is_unknown else f"until {', '.join(effect.steps)} can be"
                )
                yield f"SagaAccepted, {end} done"


def _spread(effect: Effect) -> str:
    """How far a null goes that its own field may not have."""
    at: NullAt | None = effect.null_at
    if at is None or at.path == effect.path:
        return ", with an error"
    if not at.path:
        return ", which no field above it may be: all of `data` is null"
    return f", which it may not be: {'an item of ' if at.is_item else ''}{_dotted(at.path)} is null"


# -- words -------------------------------------------------------------------------------------------------------------


def _lines(*lines: Text) -> Text:
    return Text("\n").join(lines)


def _dotted(path: Path) -> str:
    return ".".join(path)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _time(seconds: float) -> str:
    """ "250 ms", "2 s", "15 min"."""
    if seconds < 1:
        return f"{seconds * 1000:g} ms"
    return f"{seconds / 60:g} min" if seconds >= 120 and seconds % 60 == 0 else f"{round(seconds, 2):g} s"


def _share(ratio: float) -> str:
    return f"{ratio * 100:g} %"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
