"""Plans to play with: as `building` would allow them, at random or every one of a size."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace

from hypothesis import strategies as st

from gateway.clock import NEVER, Seconds
from gateway.sagas.plan import Overtaken, SagaPlan, StepPlan, Wait, compile_plan, followers
from gateway.sagas.retry import Retry

DEADLINE = Seconds(1_000.0)
SOON = Retry(attempts=2, base="1ms", cap="1ms")
SETTLES = Seconds(3.0)

Needs = Mapping[str, frozenset[str]]


def plan_of(
    needs: Needs,
    *,
    pivot: str | None,
    undos: frozenset[str],
    until_done: bool = False,
    waits: Mapping[str, Wait] | None = None,
    found_out: Mapping[str, Overtaken] | None = None,
    unread: frozenset[str] = frozenset(),
) -> SagaPlan:
    """No undo of the pivot or of what follows it, nor of a wait; a wait is no pivot."""
    waits, found_out = waits or {}, found_out or {}
    after = followers(dict(needs), pivot) | {pivot} if pivot is not None else frozenset[str]()
    steps = [
        StepPlan(
            name=name,
            needs=tuple(sorted(before)),
            has_undo=name in undos and name not in after and name not in waits,
            is_pivot=name == pivot,
            retry=Retry(attempts=None, base="1ms", cap="1ms") if until_done and name in after else SOON,
            timeout=Seconds(1.0),
            wait=waits.get(name) if name != pivot else None,
            overtaken=found_out.get(name, Overtaken.TOMBSTONE),
            settles_after=SETTLES if found_out.get(name) is Overtaken.LOOKUP else NEVER,
            is_read=name not in unread,
        )
        for name, before in needs.items()
    ]
    return compile_plan("Any", version=1, deadline=DEADLINE, steps=steps)


# -- at random ---------------------------------------------------------------------------------------------------------

WAITS = st.sampled_from(
    [
        Wait("timer", Seconds(0.0)),
        Wait("timer", Seconds(5.0)),
        Wait("timer", Seconds(5_000.0)),
        Wait("signal", Seconds(5.0)),
        Wait("signal", Seconds(5.0), ("NOT_PAID", "Nobody paid.")),
        Wait("signal", None),
    ]
)


@st.composite
def plans(draw: st.DrawFn) -> SagaPlan:
    names = [f"s{i}" for i in range(draw(st.integers(1, 6)))]
    some = st.sets(st.sampled_from(names)).map(frozenset)
    needs = {
        name: frozenset(draw(st.sets(st.sampled_from(names[:i])))) if i else frozenset[str]()
        for i, name in enumerate(names)
    }
    return plan_of(
        needs,
        pivot=draw(st.none() | st.sampled_from(names)),
        undos=draw(some),
        until_done=draw(st.booleans()),
        waits=draw(st.dictionaries(st.sampled_from(names), WAITS, max_size=2)),
        found_out=draw(st.dictionaries(st.sampled_from(names), st.sampled_from(Overtaken))),
        unread=draw(some),
    )


# -- every one ---------------------------------------------------------------------------------------------------------


def shapes(size: int) -> Iterator[tuple[Needs, str | None]]:
    """Every graph of `size` steps with every pivot, or none; of those that differ only in names, one."""
    names = [f"s{i}" for i in range(size)]
    pairs = list(itertools.combinations(range(size), 2))
    seen: set[object] = set()
    for edges in itertools.product([False, True], repeat=len(pairs)):
        arrows = frozenset(pair for pair, is_there in zip(pairs, edges, strict=True) if is_there)
        for pivot in (None, *range(size)):
            form = _form(arrows, pivot, size)
            if form not in seen:
                seen.add(form)
                needs = {names[b]: frozenset(names[a] for a, to in arrows if to == b) for b in range(size)}
                yield needs, None if pivot is None else names[pivot]


def _form(arrows: frozenset[tuple[int, int]], pivot: int | None, size: int) -> object:
    """The same for two graphs that differ only in their names."""
    return min(
        (sorted((order[a], order[b]) for a, b in arrows), -1 if pivot is None else order[pivot])
        for order in itertools.permutations(range(size))
    ).__repr__()


def small_plans(size: int) -> Iterator[SagaPlan]:
    """Every step has an undo, as far as it may."""
    for needs, pivot in shapes(size):
        yield plan_of(needs, pivot=pivot, undos=frozenset(needs))


def half_undone_plans(size: int) -> Iterator[SagaPlan]:
    """Every other step has no undo."""
    for needs, pivot in shapes(size):
        yield plan_of(needs, pivot=pivot, undos=frozenset(list(needs)[::2]))


def found_out_plans(size: int) -> Iterator[SagaPlan]:
    """Every other step must be found out before its undo."""
    for needs, pivot in shapes(size):
        found_out = dict.fromkeys(list(needs)[::2], Overtaken.RESEND)
        yield plan_of(needs, pivot=pivot, undos=frozenset(needs), found_out=found_out)


def waiting_plans(size: int) -> Iterator[SagaPlan]:
    """One step is a signal with patience, or without end, or a timer."""
    kinds = (Wait("signal", Seconds(5.0)), Wait("signal", None), Wait("timer", Seconds(5.0)))
    for needs, pivot in shapes(size):
        for name, kind in itertools.product(needs, kinds):
            if name != pivot:
                yield plan_of(needs, pivot=pivot, undos=frozenset(needs), waits={name: kind})


def unread(plan: SagaPlan) -> SagaPlan:
    """The same, where nobody reads what a step yields: an operator may skip it."""
    return replace(plan, steps={name: replace(step, is_read=False) for name, step in plan.steps.items()})
