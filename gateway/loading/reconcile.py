"""Rules for one fact that several sources tell: answers of the sources -> agreed, resolved, or undecided.

Invariants: pure; the order of the answers never changes the verdict; a value that is served was some source's own, never a mixture.
"There is none" is an answer like any other. What a rule cannot decide it says so: nothing is guessed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Protocol

from .loader import Loader
from .records import camel

MAJORITY_NEEDS = 3
"""Sources of a quorum, at least: with two, one that fails leaves no majority, and two that differ are no majority either."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one source said: a value of the sources' common type, or None or [] for "there is none"."""

    source: str
    """The loader's name."""
    service: str
    value: Any


@dataclass(frozen=True, slots=True)
class Agreed:
    """All that answered say the same."""

    value: Any


@dataclass(frozen=True, slots=True)
class Resolved:
    """They differ, and the rule has decided. `losers`: names of the sources that say something else."""

    value: Any
    losers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Undecided:
    """They differ, and the rule cannot decide; or whom it asks for has not answered."""

    why: str
    """Part of a sentence for clients: it names services, never values."""


Verdict = Agreed | Resolved | Undecided


class Reconciliation(Protocol):
    """A rule. Immutable; its repr is how the author wrote it."""

    def decide(self, answers: Sequence[Answer], *, of: int) -> Verdict:
        """The verdict on at least one answer, of so many sources as were asked: those that failed are not among the answers."""
        ...

    def problem(self, sources: Sequence[Loader[Any]]) -> str | None:
        """What is wrong with this rule for these sources, with the remedy; None if nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Newest:
    """The answer whose attribute holds the latest instant; the attribute itself is no part of what must agree."""

    attribute: str
    """As in Python or as in the schema: "updated_at" or "updatedAt"."""

    def decide(self, answers: Sequence[Answer], *, of: int) -> Verdict:
        """Undecided where the newest differ at one instant, or one that differs has none: it is then neither older nor newer."""
        instants = [self._instant(answer.value) for answer in answers]
        facts = [_facts(answer.value, but=self._name(answer.value)) for answer in answers]
        try:
            latest = max((instant for instant in instants if instant is not None), default=None)
        except TypeError:  # one with a time zone beside one without: some service's mistake
            return Undecided("their instants cannot be compared")
        at = instants.index(latest)
        if all(fact == facts[at] for fact in facts):
            return Agreed(answers[at].value)
        if None in instants:
            return Undecided("they differ, and not all of them say since when")
        if any(fact != facts[at] for fact, instant in zip(facts, instants, strict=True) if instant == latest):
            return Undecided("they differ at the same instant")
        return Resolved(answers[at].value, _differing(answers, facts, facts[at]))

    def problem(self, sources: Sequence[Loader[Any]]) -> str | None:
        into: Any = sources[0].shape.into
        if sources[0].many:
            return f"{self!r} compares single records, and {sources[0]!r} gives lists: use authority(...) or quorum()"
        if _named(into, self.attribute) is None:
            known = [column.name for column in dataclasses.fields(into)]
            near = get_close_matches(self.attribute, known, n=1)
            hint = f": did you mean {near[0]!r}?" if near else f" (it has: {', '.join(known)})"
            return f"{self!r} names no attribute of {into.__name__}{hint}"
        return None

    def _name(self, value: Any) -> str | None:
        into: Any = type(value)
        return _named(into, self.attribute)

    def _instant(self, value: Any) -> Any:
        name = self._name(value)
        return None if name is None else getattr(value, name)

    def __repr__(self) -> str:
        return f"newest({self.attribute!r})"


@dataclass(frozen=True, slots=True)
class Authority:
    """The answer of one service, whatever the others say: they are asked so that a difference is found."""

    service: str

    def decide(self, answers: Sequence[Answer], *, of: int) -> Verdict:
        """Undecided where the authority has not answered."""
        right = next((answer for answer in answers if answer.service == self.service), None)
        if right is None:
            return Undecided(f"their authority, {self.service}, did not answer")
        facts = [_facts(answer.value) for answer in answers]
        losers = _differing(answers, facts, _facts(right.value))
        return Resolved(right.value, losers) if losers else Agreed(right.value)

    def problem(self, sources: Sequence[Loader[Any]]) -> str | None:
        named = [source.service for source in sources].count(self.service)
        if named == 1:
            return None
        services = ", ".join(dict.fromkeys(source.service for source in sources))
        if named:
            return f"{self!r} names {named} sources: one of a service can be its authority"
        return f"{self!r} names no source: the authority is one of {services}"

    def __repr__(self) -> str:
        return f"authority({self.service!r})"


@dataclass(frozen=True, slots=True)
class Quorum:
    """What more than half of all sources say, those that failed counted among them."""

    def decide(self, answers: Sequence[Answer], *, of: int) -> Verdict:
        """Undecided without such a majority."""
        facts = [_facts(answer.value) for answer in answers]
        for answer, fact in zip(answers, facts, strict=True):
            if 2 * facts.count(fact) > of:
                losers = _differing(answers, facts, fact)
                return Resolved(answer.value, losers) if losers else Agreed(answer.value)
        return Undecided(f"no more than half of {of} say the same")

    def problem(self, sources: Sequence[Loader[Any]]) -> str | None:
        if len(sources) >= MAJORITY_NEEDS:
            return None
        return f"{self!r} needs {MAJORITY_NEEDS} sources, not {len(sources)}: use newest(...) or authority(...)"

    def __repr__(self) -> str:
        return "quorum()"


def newest(attribute: str) -> Newest:
    """Reconcile by the latest instant in `attribute`, by its name in Python or in the schema."""
    return Newest(attribute)


def authority(service: str) -> Authority:
    """Reconcile by what the service of this name says."""
    return Authority(service)


def quorum() -> Quorum:
    """Reconcile by what more than half of the sources say."""
    return Quorum()


def sources_problem(sources: Sequence[Loader[Any]], rule: Reconciliation | None) -> str | None:
    """What is wrong with a field of these sources under this rule, with the remedy; None if nothing."""
    if rule is None:
        return None if len(sources) == 1 else "it has several sources: say which is served with reconcile=newest(...)"
    if len(sources) == 1:
        return f"reconcile={rule!r} needs several sources: name them in a list, or leave it away"
    if paged := next((source for source in sources if source.page), None):
        return f"{paged!r} answers pages, and a page of one service is none of another's: reconcile single records or lists"
    if len({source.name for source in sources}) < len(sources):
        return f"two of its sources are called alike ({', '.join(source.name for source in sources)}): name each once"
    first = sources[0]
    for other in sources[1:]:
        if not has_type_of(other, first):
            return f"{other!r} gives {other.yielded} and {first!r} {first.yielded}: their values must be of one type"
    if not dataclasses.is_dataclass(first.shape.into):
        return f"{first.shape.into.__name__} is no entity, so two of it cannot be compared: make it one"
    return rule.problem(sources)


def has_type_of(one: Loader[Any], other: Loader[Any]) -> bool:
    """Whether what one gives can stand in for what the other gives."""
    return (one.shape.into, one.many, one.page) == (other.shape.into, other.many, other.page)


def _facts(value: Any, *, but: str | None = None) -> Any:
    """What is compared of a value: its fields, one of them perhaps left out; of a list those of its items."""
    if isinstance(value, list):
        return [_facts(each) for each in value]
    into: Any = type(value)
    names = _compared(into)
    return value if names is None else [_facts(getattr(value, name)) for name in names if name != but]


@lru_cache(maxsize=256)
def _compared(into: Any) -> tuple[str, ...] | None:
    """The fields that make two of these equal; None for what is no dataclass and is compared as it is."""
    if not dataclasses.is_dataclass(into):
        return None
    return tuple(column.name for column in dataclasses.fields(into) if column.compare)


def _differing(answers: Sequence[Answer], facts: Sequence[Any], right: Any) -> frozenset[str]:
    return frozenset(answer.source for answer, fact in zip(answers, facts, strict=True) if fact != right)


@lru_cache(maxsize=256)
def _named(into: Any, attribute: str) -> str | None:
    """The Python name of the attribute that is called so, there or in the schema."""
    if not dataclasses.is_dataclass(into):
        return None
    names = [column.name for column in dataclasses.fields(into)]
    return next((name for name in names if attribute in (name, camel(name))), None)
