"""Rules for what several sources say: agreed, resolved or undecided; whatever the order, and never a value of nobody's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.loading import Loader, Service, authority, newest, quorum
from gateway.loading.reconcile import (
    Agreed,
    Answer,
    Reconciliation,
    Resolved,
    Undecided,
    Verdict,
    sources_problem,
)


@dataclass
class Price:
    amount: int
    updated_at: datetime | int | None = None
    note: str = field(default="", compare=False)


@dataclass
class Label:
    text: str


def said(*values: Any) -> list[Answer]:
    """What the services a, b, c, ... said, in that order."""
    return [Answer(f"{name} /price", name, value) for name, value in zip("abcdefgh", values, strict=False)]


def verdict(rule: Reconciliation, *values: Any, of: int | None = None) -> Verdict:
    return rule.decide(said(*values), of=of or len(values))


def losers(*names: str) -> frozenset[str]:
    return frozenset(f"{name} /price" for name in names)


# -- newest ------------------------------------------------------------------------------------------------------------

BY_TIME = newest("updated_at")


@pytest.mark.parametrize("rule", [BY_TIME, newest("updatedAt")])
def test_newest_serves_the_latest_by_the_attribute_s_python_or_schema_name(rule: Reconciliation) -> None:
    assert verdict(rule, Price(1, 10), Price(2, 20), Price(1, 15)) == Resolved(Price(2, 20), losers("a", "c"))


def test_answers_that_differ_in_the_instant_alone_agree_and_the_latest_is_served() -> None:
    assert verdict(BY_TIME, Price(1, 10), Price(1, 30), Price(1, 20)) == Agreed(Price(1, 30))


def test_an_older_answer_that_says_the_same_as_the_newest_has_not_lost() -> None:
    assert verdict(BY_TIME, Price(2, 10), Price(2, 30), Price(1, 20)) == Resolved(Price(2, 30), losers("c"))


def test_different_facts_of_one_instant_are_undecided_unless_a_newer_one_settles_it() -> None:
    assert verdict(BY_TIME, Price(1, 10), Price(2, 10)) == Undecided("they differ at the same instant")
    assert verdict(BY_TIME, Price(1, 10), Price(2, 10), Price(3, 11)) == Resolved(Price(3, 11), losers("a", "b"))


def test_there_is_none_has_no_instant_so_it_is_neither_older_nor_newer() -> None:
    assert verdict(BY_TIME, None, None) == Agreed(None)
    assert isinstance(verdict(BY_TIME, Price(1, 10), None), Undecided)


def test_an_answer_without_its_instant_can_agree_and_cannot_win_or_lose() -> None:
    assert verdict(BY_TIME, Price(1), Price(1, 10)) == Agreed(Price(1, 10))
    assert isinstance(verdict(BY_TIME, Price(1), Price(2, 10)), Undecided)


def test_instants_with_and_without_a_time_zone_cannot_be_compared() -> None:
    aware, naive = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1)
    for values in ((Price(1, aware), Price(1, naive)), (Price(1, naive), Price(1, aware))):
        assert verdict(BY_TIME, *values) == Undecided("their instants cannot be compared")


def test_what_is_not_part_of_a_value_s_equality_is_no_difference() -> None:
    assert isinstance(verdict(BY_TIME, Price(1, 10, note="x"), Price(1, 10, note="y")), Agreed)


# -- authority ---------------------------------------------------------------------------------------------------------


def test_the_authority_is_right_whatever_the_others_say() -> None:
    assert verdict(authority("b"), Price(1), Price(2), Price(1)) == Resolved(Price(2), losers("a", "c"))
    assert verdict(authority("b"), Price(1), Price(1)) == Agreed(Price(1))


def test_the_authority_s_there_is_none_is_served() -> None:
    assert verdict(authority("a"), None, Price(1)) == Resolved(None, losers("b"))


def test_without_the_authority_s_answer_nothing_is_decided_though_all_others_agree() -> None:
    assert verdict(authority("c"), Price(1), Price(1), of=3) == Undecided("their authority, c, did not answer")


def test_lists_are_compared_item_by_item_in_their_order() -> None:
    assert verdict(authority("a"), [Price(1), Price(2)], [Price(1), Price(2)]) == Agreed([Price(1), Price(2)])
    assert isinstance(verdict(authority("a"), [Price(1), Price(2)], [Price(2), Price(1)]), Resolved)


# -- quorum ------------------------------------------------------------------------------------------------------------


def test_more_than_half_of_all_sources_decide() -> None:
    assert verdict(quorum(), Price(1), Price(2), Price(1)) == Resolved(Price(1), losers("b"))
    assert verdict(quorum(), Price(1), Price(1), Price(1)) == Agreed(Price(1))
    assert isinstance(verdict(quorum(), Price(1), Price(2), Price(3)), Undecided)


def test_half_is_no_majority() -> None:
    assert verdict(quorum(), *map(Price, (1, 1, 2, 2))) == Undecided("no more than half of 4 say the same")


def test_a_source_that_failed_counts_among_all() -> None:
    assert verdict(quorum(), Price(1), Price(1), of=3) == Agreed(Price(1))
    assert isinstance(verdict(quorum(), Price(1), of=3), Undecided)
    assert isinstance(verdict(quorum(), Price(1), Price(1), of=4), Undecided)


def test_there_is_none_can_have_the_majority() -> None:
    assert verdict(quorum(), None, Price(1), None) == Resolved(None, losers("b"))


# -- all rules ---------------------------------------------------------------------------------------------------------

prices = st.none() | st.builds(Price, st.integers(0, 2), st.none() | st.integers(0, 3))
rules = st.sampled_from([newest("updated_at"), newest("updatedAt"), authority("a"), authority("c"), quorum()])
several = st.lists(prices, min_size=1, max_size=5).map(lambda values: said(*values))


@given(rules, several, st.integers(0, 2), st.randoms())
def test_the_order_of_the_sources_never_changes_the_verdict(
    rule: Reconciliation, answers: Sequence[Answer], failed: int, random: Any
) -> None:
    shuffled = list(answers)
    random.shuffle(shuffled)
    of = len(answers) + failed
    assert rule.decide(shuffled, of=of) == rule.decide(answers, of=of)


@given(rules, several, st.integers(0, 2))
def test_what_is_served_was_answered_and_the_losers_are_those_who_said_something_else(
    rule: Reconciliation, answers: Sequence[Answer], failed: int
) -> None:
    found = rule.decide(answers, of=len(answers) + failed)
    if isinstance(found, Undecided):
        assert found.why
        return
    assert any(answer.value is found.value for answer in answers)
    lost = found.losers if isinstance(found, Resolved) else frozenset[str]()
    assert isinstance(found, Agreed) or lost
    for answer in answers:
        assert (answer.source in lost) == (without_instant(answer.value, rule) != without_instant(found.value, rule))


def without_instant(value: Any, rule: Reconciliation) -> Any:
    """What this rule compares."""
    if value is None or not repr(rule).startswith("newest"):
        return value
    return value.amount


@given(rules, prices, st.integers(1, 5))
def test_those_who_all_say_the_same_are_never_found_to_differ(rule: Reconciliation, value: Any, count: int) -> None:
    found = verdict(rule, *[value] * count)
    if isinstance(found, Undecided):
        assert repr(rule) == "authority('c')"
        assert count < 3
    else:
        assert found == Agreed(value)


# -- mistakes ----------------------------------------------------------------------------------------------------------


def loader(service: str, path: str = "/price", into: type[Any] = Price, **more: Any) -> Loader[Any]:
    found: Loader[Any] = Service(service).loader(path, keys="ids", key="id", into=into, **more)
    return found


A, B, C = loader("a"), loader("b"), loader("c")


@pytest.mark.parametrize(
    ("sources", "rule", "problem"),
    [
        ([A, B], None, "several sources: say which is served with reconcile=newest(...)"),
        ([A], BY_TIME, "reconcile=newest('updated_at') needs several sources: name them in a list, or leave it away"),
        ([A, loader("b", into=Label)], BY_TIME, "gives Label and <Loader a /price> Price: their values must be of one"),
        ([A, loader("b", many=True)], BY_TIME, "<Loader b /price> gives list[Price] and <Loader a /price> Price"),
        ([A, loader("b", page=True)], BY_TIME, "<Loader b /price> answers pages"),
        ([A, loader("a")], BY_TIME, "two of its sources are called alike (a /price, a /price): name each once"),
        ([loader("a", into=int), loader("b", into=int)], quorum(), "int is no entity, so two of it cannot be compared"),
        ([A, B], newest("updatd_at"), "newest('updatd_at') names no attribute of Price: did you mean 'updated_at'?"),
        ([A, B], newest("x"), "newest('x') names no attribute of Price (it has: amount, updated_at, note)"),
        ([loader("a", many=True), loader("b", many=True)], BY_TIME, "compares single records, and <Loader a /price> g"),
        ([A, B], authority("c"), "authority('c') names no source: the authority is one of a, b"),
        ([A, loader("a", "/other")], authority("a"), "authority('a') names 2 sources: one of a service can be"),
        ([A, B], quorum(), "quorum() needs 3 sources, not 2: use newest(...) or authority(...)"),
    ],
)
def test_a_mistake_is_told_with_its_remedy(
    sources: list[Loader[Any]], rule: Reconciliation | None, problem: str
) -> None:
    assert problem in (sources_problem(sources, rule) or "")


@pytest.mark.parametrize(
    ("sources", "rule"),
    [([A], None), ([A, B], BY_TIME), ([A, B], newest("updatedAt")), ([A, B], authority("b")), ([A, B, C], quorum())],
)
def test_what_is_right_is_no_mistake(sources: list[Loader[Any]], rule: Reconciliation | None) -> None:
    assert sources_problem(sources, rule) is None
