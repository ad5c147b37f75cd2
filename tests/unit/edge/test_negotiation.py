"""Which media type the client gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.negotiation import GRAPHQL_RESPONSE, JSON, chosen_media_type


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        ("", JSON),
        ("  ", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (f"{JSON}; charset=utf-8", JSON),
        (GRAPHQL_RESPONSE, GRAPHQL_RESPONSE),
        (GRAPHQL_RESPONSE.upper(), GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}; charset=utf-8", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}, {JSON}", GRAPHQL_RESPONSE),
        (f"{JSON}, {GRAPHQL_RESPONSE}", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE};q=0.5, {JSON}", JSON),
        (f"{GRAPHQL_RESPONSE}, {JSON};q=0.9", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE};q=0.5, */*;q=0.1", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE};q=0.5, */*", JSON),
        (f"{JSON};q=0, */*", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE};q=0, */*", JSON),
        ("text/html, */*;q=0.8", JSON),
        ("text/html", None),
        ("application/xml", None),
        (f"{JSON};q=0", None),
        (f"{GRAPHQL_RESPONSE};q=0", None),
        ("*/*;q=0", None),
        (f"{JSON};q=lots", None),
        (f"{JSON};q=7", JSON),
        (f"{JSON};q=nan", None),
        (", ,", None),
    ],
)
def test_the_client_gets_what_it_likes_best(accept: str | None, chosen: str | None) -> None:
    assert chosen_media_type(accept) == chosen


qualities = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)


@given(ours=qualities, json=qualities)
def test_of_two_named_types_the_higher_quality_wins_and_zero_never_does(ours: float, json: float) -> None:
    chosen = chosen_media_type(f"{GRAPHQL_RESPONSE};q={ours}, {JSON};q={json}")
    if ours == json == 0:
        assert chosen is None
    else:
        assert chosen == (GRAPHQL_RESPONSE if ours >= json else JSON)


@given(quality=qualities, rest=qualities)
def test_a_named_type_is_not_moved_by_a_wider_range(quality: float, rest: float) -> None:
    chosen = chosen_media_type(f"*/*;q={rest}, {JSON};q={quality}, {GRAPHQL_RESPONSE};q=0")
    assert chosen == (JSON if quality else None)


@given(st.text(max_size=60))
def test_any_text_gives_one_of_three_answers(accept: str) -> None:
    assert chosen_media_type(accept) in {GRAPHQL_RESPONSE, JSON, None}
