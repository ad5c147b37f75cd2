"""Who reads too little of what it was sent."""

from __future__ import annotations

from gateway.clock import Instant
from gateway.unread import PACE, WITHIN, Unread


def stuck(*looks: tuple[float, int]) -> list[bool]:
    unread = Unread()
    return [unread.is_stuck(size, now=Instant(now)) for now, size in looks]


def test_who_reads_nothing_is_stuck_after_a_while() -> None:
    assert stuck((0, 100), (WITHIN, 100), (WITHIN + 1, 100)) == [False, False, True]


def test_who_has_read_all_begins_anew() -> None:
    assert stuck((0, 100), (20, 0), (40, 100), (WITHIN + 39, 100)) == [False] * 4


def test_who_keeps_the_pace_may_read_for_ever_and_who_reads_a_byte_may_not() -> None:
    large = 100 * PACE
    assert not any(stuck(*((look * WITHIN, large - look * PACE) for look in range(100))))
    assert stuck(*((look, large - look) for look in range(40)))[-1]


def test_what_is_sent_meanwhile_begins_the_time_anew() -> None:
    assert stuck((0, 100), (25, 200), (50, 300), (50 + WITHIN, 300)) == [False] * 4
