"""Wherever a process dies, on whichever host: nothing is lost, nothing doubled, nothing left standing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.numbers import assert_told

from .crashes import Story, die_everywhere, stories
from .hosts import HOMES
from .stories import Booking, Careful

STORIES = list(stories())
FAST = ("embedded in memory", "on an engine that replays")

_schedules: Counter[str] = Counter()
_told: Counter[str] = Counter()


def once_more(first: int) -> tuple[int, ...]:
    """A point of the second life for every other one of the first, spread over it; `make soak` takes all."""
    return (1 + first * 5 % 11,) if first % 2 else ()


@pytest.mark.parametrize("host", FAST)
@pytest.mark.parametrize("story", STORIES, ids=str)
def test_a_process_that_dies_at_any_point_and_again_loses_and_doubles_nothing(
    story: Story, host: str, tmp_path: Path
) -> None:
    played = die_everywhere(HOMES[host], tmp_path, story, again=once_more)
    _schedules[host] += played
    _told[host] += 1
    assert played >= 5


@pytest.mark.parametrize(
    "story",
    [story for story in STORIES if not story.faults or (story.saga in (Booking, Careful) and len(story.faults) == 2)],
    ids=str,
)
def test_the_file_is_enough_to_go_on_from_wherever_the_process_died(story: Story, tmp_path: Path) -> None:
    played = die_everywhere(HOMES["embedded in a file"], tmp_path, story, again=lambda first: ())
    _schedules["embedded in a file"] += played
    _told["embedded in a file"] += 1
    assert played >= 5


def test_as_many_deaths_were_died_as_the_page_says() -> None:
    if any(_told[host] < len(STORIES) for host in FAST):
        pytest.skip("only after all of them")
    assert_told("Stories (a saga under some luck) in which a process dies", len(STORIES))
    for host in HOMES:
        assert_told(f"Schedules of deaths, {host}", _schedules[host])
