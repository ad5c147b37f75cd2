"""Which media type the client gets."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.negotiation import _USUAL, EVENT_STREAM, GRAPHQL_RESPONSE, JSON, MULTIPART, accepted, ranges_of


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
    assert accepted(accept).whole == chosen


qualities = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)


@given(ours=qualities, json=qualities)
def test_of_two_named_types_the_higher_quality_wins_and_zero_never_does(ours: float, json: float) -> None:
    chosen = accepted(f"{GRAPHQL_RESPONSE};q={ours}, {JSON};q={json}").whole
    if ours == json == 0:
        assert chosen is None
    else:
        assert chosen == (GRAPHQL_RESPONSE if ours >= json else JSON)


@given(quality=qualities, rest=qualities)
def test_a_named_type_is_not_moved_by_a_wider_range(quality: float, rest: float) -> None:
    chosen = accepted(f"*/*;q={rest}, {JSON};q={quality}, {GRAPHQL_RESPONSE};q=0").whole
    assert chosen == (JSON if quality else None)


URQL = f"{GRAPHQL_RESPONSE}, application/graphql+json, {JSON}, {EVENT_STREAM}, {MULTIPART}"
APOLLO = f"{MULTIPART};boundary=graphql;subscriptionSpec=1.0,{JSON}"


@pytest.mark.parametrize(
    ("accept", "stream", "parameters"),
    [
        (None, None, {}),
        ("*/*", None, {}),
        ("text/*", None, {}),
        (JSON, None, {}),
        (EVENT_STREAM, EVENT_STREAM, {}),
        (f"{EVENT_STREAM};q=0, */*", None, {}),
        (URQL, EVENT_STREAM, {}),
        (APOLLO, MULTIPART, {"boundary": "graphql", "subscriptionspec": "1.0"}),
        (f"{EVENT_STREAM};q=0.5, {MULTIPART};deferSpec=20220824", MULTIPART, {"deferspec": "20220824"}),
        (f"{MULTIPART}; q=0.1, {EVENT_STREAM}; q=0.2", EVENT_STREAM, {}),
        (f'{MULTIPART}; boundary="a;b,c\\"d"; incrementalSpec=v0.2', MULTIPART,
         {"boundary": 'a;b,c"d', "incrementalspec": "v0.2"}),
    ],
)  # fmt: skip
def test_a_stream_is_sent_to_who_names_one(accept: str | None, stream: str | None, parameters: dict[str, str]) -> None:
    found = accepted(accept).stream
    assert (found and found.media, {} if found is None else found.parameters) == (stream, parameters)


def test_who_takes_streams_only_takes_nothing_in_one_piece() -> None:
    assert accepted(EVENT_STREAM).whole is None
    assert accepted(URQL).whole == GRAPHQL_RESPONSE


@given(st.text())
def test_whatever_a_client_sends_is_read(text: str) -> None:
    assert all(0 <= each.weight <= 1 for each in ranges_of(text))
    assert accepted(text).whole in {GRAPHQL_RESPONSE, JSON, None}


# -- properties: RFC 9110 section 12.5.1 over all headers that can be written ----------------------------------------------

MEDIA = (
    GRAPHQL_RESPONSE,
    JSON,
    "application/*",
    "*/*",
    "text/html",
    "text/*",
    EVENT_STREAM,
    "application/graphql+json",
)
SPECIFICITY = {"*/*": 0, "application/*": 1, GRAPHQL_RESPONSE: 2, JSON: 2}

written_ranges = st.lists(
    st.tuples(st.sampled_from(MEDIA), st.one_of(st.none(), qualities)), min_size=1, unique_by=lambda each: each[0]
)
spaces = st.sampled_from(["", " ", "  "])


def header_of(ranges: Sequence[tuple[str, float | None]]) -> str:
    return ", ".join(media if weight is None else f"{media};q={weight:g}" for media, weight in ranges)


def quality(ranges: Sequence[tuple[str, float | None]], media: str) -> float:
    """As the RFC says: the weight of the most specific range that matches; 1 unless it is said; 0 without a match."""
    matching = {media, "*/*", "application/*"}
    found = [(SPECIFICITY[each], 1.0 if weight is None else weight) for each, weight in ranges if each in matching]
    return max(found, default=(0, 0.0))[1]


@given(written_ranges)
def test_the_chosen_type_is_one_that_the_client_takes_and_takes_most_gladly(
    ranges: list[tuple[str, float | None]],
) -> None:
    chosen = accepted(header_of(ranges)).whole
    ours, json = quality(ranges, GRAPHQL_RESPONSE), quality(ranges, JSON)
    assert (chosen is None) == (ours == json == 0)
    if chosen is not None:
        assert quality(ranges, chosen) > 0
    if any(media == GRAPHQL_RESPONSE for media, _ in ranges):
        assert chosen is None or quality(ranges, chosen) == max(ours, json)
    elif json > 0:
        assert chosen == JSON, "old clients get what they know"


@given(written_ranges, st.randoms(use_true_random=False))
def test_the_order_of_the_ranges_does_not_matter(ranges: list[tuple[str, float | None]], random: Random) -> None:
    shuffled = random.sample(ranges, len(ranges))
    assert accepted(header_of(ranges)).whole == accepted(header_of(shuffled)).whole


@given(written_ranges, spaces, spaces, st.booleans())
def test_spaces_and_case_do_not_matter(
    ranges: list[tuple[str, float | None]], before: str, after: str, is_upper: bool
) -> None:
    header = header_of(ranges)
    other = header.replace(",", f"{before},{after}").replace(";", f"{before};{after}")
    assert accepted(other.upper() if is_upper else other) == accepted(header)


@given(written_ranges)
def test_a_type_that_we_do_not_write_changes_nothing(ranges: list[tuple[str, float | None]]) -> None:
    header = header_of(ranges)
    assert accepted(f"{header}, application/xml;q=0.7").whole == accepted(header).whole


@pytest.mark.parametrize("header", sorted(_USUAL))
def test_what_is_looked_up_is_what_would_be_computed(header: str) -> None:
    assert accepted(header) == accepted(f"{header} ")
