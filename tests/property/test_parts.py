"""Answers in parts against graphql-core: random documents that defer, over a graph in which anything may go wrong.

`scripts/soak_compiled.py --in-parts` does the same for tens of thousands.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gateway.execution.document import DocumentRejected

from .comparing import Case
from .labyrinth import Moods
from .parts import compared, written


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_the_parts_of_a_random_operation_are_those_of_graphql_core_and_make_up_the_whole(random: Random) -> None:
    try:
        assert compared(written(random)) in {"compiled", "nothing deferred", "condition", "directive"}
    except DocumentRejected:
        assume(False)


EVERYTHING = """
query Q($yes: Boolean! = true, $key: String = "bob", $most: Int!) {
  must(keys: [$key]) { id ...Now ... @defer(label: "must") { ...Later } }
  persons { name ... @defer(label: "persons") { ...Later boss { name ... @defer(label: "boss") { ...Later } } } }
  beings(most: $most) { __typename ... on Robot @defer(label: "robot") { serial parts owner { name } }
    ... on Person @defer(label: "being", if: $yes) { age friends { name ... @defer(label: "friend") { partner { name } } } } }
  things { __typename ... on Rock @defer(label: "rock") { weight } }
  crates(most: 3) { id ... @defer(label: "crate") { label weight beside { id ... @defer(label: "beside") { stencil note } } } }
  ... @defer(label: "root") { hello newCrates(most: 2) { label ... @defer(label: "new") { isNew share } } }
}
fragment Now on Person { name nick luck(salt: $most) }
fragment Later on Person {
  age score isTall born mood tags grid maybeGrid data
  home { ...Where } secondHome { ...Where } visited { ...Where }
  servants(most: $most) { name } place { ...Where } newestPlace { ...Where } nowAt { key } secretPlace { key }
  fleet { totalCount edges { cursor node { id ... @defer { serial } } } pageInfo { endCursor hasNextPage } }
  shout(times: $most, wish: {words: ["a"], colour: AZURE}) whisper secret slowWord partner { name } mustPartner { key: name }
  circle(most: 1) { age } promised { name ... @defer { nick } } promisedGrid drawn streamed idol { name }
  gridOfBeings { name ... on Person @defer { age } }
}
fragment Where on Place { key name height opened closed data label }
"""


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.05, 0.2, 0.6], ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_the_parts_of_everything_are_those_of_graphql_core_and_make_up_the_whole(seed: int, rate: float) -> None:
    assert compared(Case(EVERYTHING, {"most": 1 + seed % 3}, Moods(seed, rate))) == "compiled"
