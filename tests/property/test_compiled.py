"""Compiled plans against graphql-core: random documents over a graph in which anything may go wrong are answered alike.

`scripts/soak_compiled.py` does the same for tens of thousands, and `--seed` repeats one.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gateway.execution.document import DocumentRejected
from gateway.execution.on_error import OnError

from .comparing import CALLERS, Case, compared, written
from .labyrinth import Moods


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_a_random_operation_is_answered_as_graphql_core_answers_it(random: Random) -> None:
    try:
        assert compared(written(random)) == "compiled"
    except DocumentRejected:
        assume(False)


EVERYTHING = """
query Q($yes: Boolean! = true, $key: String = "bob", $most: Int!) {
  must(keys: [$key]) { ...Everything }
  persons { ...Everything boss { ...Everything } }
  beings(most: $most) { __typename id name ... on Robot { serial parts owner { name } } ...Everything }
  parcels(most: $most) { label beside { weight } } mustParcels { id } crates { stamp seal maker }
  things { ... on Diary { pages owner { name } } ... on Vault { gold }
    __typename ... on Rock { weight } ... on Being { colour } ...Everything }
}
fragment Everything on Person {
  id name nick age score isTall born mood tags grid maybeGrid data
  home { ...Where } secondHome { ...Where } visited { ...Where }
  servants(most: $most) { name } place { ...Where } newestPlace { ...Where } nowAt { key } secretPlace { key }
  fleet { totalCount edges { cursor node { id } } pageInfo { endCursor hasNextPage } }
  shout(times: $most, wish: {words: ["a"], colour: AZURE}) whisper secret slowWord partner { name } mustPartner { key: name }
  circle(most: 1) { age } promised { name } promisedGrid drawn streamed idol { name } luck(salt: $most) friends { name }
  diary { pages owner { diary { id } } } vault { gold } vaults { gold } chest { lid vault { gold } } refused ownAge ownHome { key }
  gridOfDiaries { pages }
  gridOfBeings { name ... on Person @include(if: $yes) { age } }
}
fragment Where on Place { key name height opened closed data label }
"""


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.05, 0.2, 0.6], ids=str)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("on_error", OnError)
def test_every_field_at_once_is_answered_as_graphql_core_answers_it(seed: int, rate: float, on_error: OnError) -> None:
    seconds = 0.5 if seed == 5 else 100.0
    case = Case(EVERYTHING, {"most": 1 + seed % 3}, Moods(seed, rate), seconds, on_error, CALLERS[seed % len(CALLERS)])
    assert compared(case) == "compiled"
