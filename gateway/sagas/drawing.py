"""A saga drawn from its definition: its steps in layers, or its states, for a terminal or as Mermaid.

Invariant: pure functions of a `Definition`; equal definitions give equal drawings, so a drawing may be kept beside the code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from ..clock import Seconds
from .definition import Definition
from .plan import Overtaken, StepPlan
from .states import SagaState

Kind = Literal["terminal", "mermaid"]
Subject = Literal["steps", "states"]


def draw(definition: Definition, kind: Kind = "terminal", *, of: Subject = "steps") -> str:
    """The drawing as text that ends with a newline. `of`: the graph of steps, or the states that the saga can be in."""
    drawings = {
        ("terminal", "steps"): _steps_in_layers,
        ("terminal", "states"): _states_in_lines,
        ("mermaid", "steps"): _steps_as_flowchart,
        ("mermaid", "states"): _states_as_diagram,
    }
    return "\n".join(drawings[kind, of](definition)) + "\n"


# -- steps -------------------------------------------------------------------------------------------------------------


def layers(definition: Definition) -> list[list[StepPlan]]:
    """Steps by the length of their longest way from a start: those of one layer may run at the same time."""
    depth: dict[str, int] = {}
    for name, step in definition.plan.steps.items():  # in topological order
        depth[name] = 1 + max((depth[need] for need in step.needs), default=-1)
    found: list[list[StepPlan]] = [[] for _ in range(max(depth.values()) + 1)]
    for name, step in definition.plan.steps.items():
        found[depth[name]].append(step)
    return found


def direct_needs(definition: Definition) -> Mapping[str, tuple[str, ...]]:
    """What each step waits for and no other need of it waits for already: the lines of a drawing."""
    needs = {name: step.needs for name, step in definition.plan.steps.items()}
    dependents = {name: set(step.dependents) for name, step in definition.plan.steps.items()}
    return {
        name: tuple(need for need in before if not any(other in dependents[need] for other in before))
        for name, before in needs.items()
    }


def _steps_in_layers(definition: Definition) -> Iterator[str]:
    yield f"{definition.name} v{definition.version}, {_span(definition.deadline)}, key {definition.key}"
    yield ""
    yield from _columns(definition)
    yield ""
    yield from _table(definition)
    yield from _legend(definition)


def _columns(definition: Definition) -> Iterator[str]:
    """Layers from left to right: a column begins when what it needs of those before is done."""
    columns = [[_labelled(step) for step in layer] for layer in layers(definition)]
    widths = [max(map(len, column)) for column in columns]
    height = max(map(len, columns))
    for row in range(height):
        cells = [(column[row] if row < len(column) else "").ljust(w) for column, w in zip(columns, widths, strict=True)]
        yield ("  " + (" ──▶ " if row == 0 else "     ").join(cells)).rstrip()


def _legend(definition: Definition) -> Iterator[str]:
    steps = definition.plan.steps.values()
    marks = ["╣pivot╠: no way back after it"] if definition.plan.pivot is not None else []
    marks += ["◷: waits and calls nobody"] if any(step.wait is not None for step in steps) else []
    if marks:
        yield ""
        yield f"  {'   '.join(marks)}"


def _labelled(step: StepPlan) -> str:
    if step.is_pivot:
        return f"╣{step.name}╠"
    return f"◷ {step.name}" if step.wait is not None else step.name


def _table(definition: Definition) -> Iterator[str]:
    needs = direct_needs(definition)
    rows = [["step", "needs", "attempts, or wait", "undo", "if overtaken"]]
    for name, step in definition.plan.steps.items():
        undo, answer = _way_back(definition, step)
        rows.append([_labelled(step), ", ".join(needs[name]) or "-", _does(step), undo, answer])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield ("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()


def _does(step: StepPlan) -> str:
    """How long it waits, or how often it tries."""
    if step.wait is not None:
        return _waiting(step)
    tries = "until done," if step.retry.attempts is None else f"{step.retry.attempts} ×"
    return f"{tries} {_span(step.timeout)}"


def _waiting(step: StepPlan) -> str:
    wait = step.wait
    if wait is None or wait.lasts is None:
        return "waits for a signal"
    return f"waits {_span(wait.lasts)}" if wait.kind == "timer" else f"waits for a signal, {_span(wait.lasts)}"


def _way_back(definition: Definition, step: StepPlan) -> tuple[str, str]:
    """The undo's name, and what if it is overtaken."""
    undo = definition.bindings[step.name].undo
    if undo is None:
        return "-", "-"
    lookup = definition.bindings[step.name].lookup
    if lookup is not None:
        return undo.__name__, f"{lookup.__name__} after {_span(step.settles_after)}"
    return undo.__name__, "refused" if step.overtaken is Overtaken.TOMBSTONE else "sent again"


def _steps_as_flowchart(definition: Definition) -> Iterator[str]:
    yield "flowchart LR"
    for step in definition.plan.steps.values():
        yield f"    {_node(definition, step)}"
    for name, needs in direct_needs(definition).items():
        for need in needs:
            yield f"    {_id(need)} --> {_id(name)}"


def _node(definition: Definition, step: StepPlan) -> str:
    """Its shape says what it is: a hexagon is the pivot, a stadium waits, a box calls a service."""
    undo, answer = _way_back(definition, step)
    lines = [step.name, _does(step)]
    lines += [] if undo == "-" else [f"undo: {undo}, if overtaken: {answer}"]
    opening, closing = ("{{", "}}") if step.is_pivot else ("([", "])") if step.wait is not None else ("[", "]")
    return f'{_id(step.name)}{opening}"{"<br/>".join(lines)}"{closing}'


def _id(name: str) -> str:
    """A step may be called `end`, which Mermaid keeps for itself."""
    return f"s_{name}"


def _span(seconds: Seconds) -> str:
    """As an author would write it: 90 s is 90s, 3600 s is 1h."""
    for unit, size in (("d", 86_400.0), ("h", 3_600.0), ("m", 60.0), ("s", 1.0)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds * 1_000:g}ms" if seconds < 1 else f"{seconds:g}s"


# -- states ------------------------------------------------------------------------------------------------------------


def transitions(definition: Definition) -> Sequence[tuple[SagaState, SagaState, str]]:
    """(from, to, because) for every change of state that this saga can go through."""
    pivot, found = definition.plan.pivot, list[tuple[SagaState, SagaState, str]]()
    has_undo = any(step.has_undo for step in definition.plan.steps.values())
    found.append((SagaState.RUNNING, SagaState.COMPENSATING, "refused, failed, late or cancelled"))
    if pivot is None:
        found.append((SagaState.RUNNING, SagaState.COMPLETED, "all is done"))
    else:
        found += [
            (SagaState.RUNNING, SagaState.FORWARD_ONLY, f"{pivot} is done"),
            (SagaState.RUNNING, SagaState.NEEDS_ATTENTION, f"{pivot} stays unknown"),
            (SagaState.FORWARD_ONLY, SagaState.COMPLETED, "all is done"),
            (SagaState.FORWARD_ONLY, SagaState.NEEDS_ATTENTION, "a step is given up"),
            (SagaState.NEEDS_ATTENTION, SagaState.RUNNING, "an operator"),
            (SagaState.NEEDS_ATTENTION, SagaState.FORWARD_ONLY, "an operator"),
        ]
    found.append((SagaState.COMPENSATING, SagaState.COMPENSATED, "all is undone" if has_undo else "nothing to undo"))
    if has_undo:
        found += [
            (SagaState.COMPENSATING, SagaState.NEEDS_ATTENTION, "an undo is stuck"),
            (SagaState.NEEDS_ATTENTION, SagaState.COMPENSATING, "an operator"),
        ]
    return found


def _states_in_lines(definition: Definition) -> Iterator[str]:
    changes = transitions(definition)
    first = max(len(start) for start, _, _ in changes)
    second = max(len(end) for _, end, _ in changes)
    for start, end, because in changes:
        yield f"  {start.ljust(first)} ──▶ {end.ljust(second)}  {because}"


def _states_as_diagram(definition: Definition) -> Iterator[str]:
    yield "stateDiagram-v2"
    yield f"    [*] --> {SagaState.RUNNING}"
    changes = transitions(definition)
    for start, end, because in changes:
        yield f"    {start} --> {end}: {because}"
    ends = dict.fromkeys(end for _, end, _ in changes if end.is_final)
    for end in ends:
        yield f"    {end} --> [*]"
