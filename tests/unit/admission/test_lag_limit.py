"""The learnt limit of operations: it finds what the processor bears, and no slow service lowers it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.lag_limit import LagLimit
from gateway.clock import Seconds

TARGET = Seconds(0.02)


def limit(most: int = 512) -> LagLimit:
    return LagLimit(least=8, most=most, target=TARGET)


def test_it_is_all_that_is_allowed_until_somebody_tells_it() -> None:
    assert (limit().value, limit().knows_nothing) == (512, True)


def test_then_it_begins_small_and_within_its_bounds() -> None:
    begun = limit()
    begun.begin(64)
    assert (begun.value, begun.knows_nothing) == (64, True)
    for start, value in ((2, 8), (1_000, 512)):
        begun.begin(start)
        assert begun.value == value


def test_what_made_the_loop_late_is_what_ran_not_what_might_have() -> None:
    learning = limit()
    learning.tell(Seconds(0.03), used=100)
    assert learning.value == 90
    learning.tell(Seconds(0.05), used=100)
    assert learning.value == 62


def test_it_grows_only_while_it_is_what_holds_back() -> None:
    learning = limit()
    learning.tell(Seconds(0.05), used=100)
    held = learning.value
    learning.tell(Seconds(0.0), used=held - 10, utilisation=0.6)
    assert learning.value == held
    learning.tell(Seconds(0.0), used=held, held_back=True, utilisation=0.6)
    assert learning.value == held + 4


def test_where_the_processor_has_hardly_anything_to_do_all_that_is_allowed_is_reached_within_fifteen_windows() -> None:
    learning = limit()
    learning.begin(64)
    for _ in range(15):
        learning.tell(Seconds(0.0), used=learning.value, held_back=True, utilisation=0.2)
    assert learning.value == 512


def test_a_full_processor_gets_no_more_at_once_than_in_the_beginning() -> None:
    learning = limit()
    learning.begin(64)
    learning.tell(Seconds(0.0), used=64, held_back=True, utilisation=0.95)
    assert learning.value == 64
    learning.tell(Seconds(0.03), used=40)
    for _ in range(50):
        learning.tell(Seconds(0.0), used=learning.value, held_back=True, utilisation=0.95)
    assert 64 <= learning.value <= 67


def test_after_the_load_it_returns_to_what_it_began_with_from_below_and_from_above() -> None:
    for lag, held_back in ((Seconds(0.05), False), (Seconds(0.0), True)):
        learning = limit()
        learning.begin(64)
        for _ in range(10):
            learning.tell(lag, used=learning.value, held_back=held_back)
        assert not learning.knows_nothing
        for _ in range(60):
            learning.tell(Seconds(0.0), used=0)
        assert learning.knows_nothing


def test_a_process_that_bears_twenty_at_once_is_found_and_held() -> None:
    """A model: each operation beyond ten makes the loop two milliseconds later."""
    learning, seen = limit(), list[int]()
    for _ in range(300):
        used = learning.value  # more come than may run
        learning.tell(Seconds(max(0.0, (used - 10) * 0.002)), used=used, held_back=True, utilisation=0.8)
        seen.append(learning.value)
    assert 14 <= min(seen[100:]) <= max(seen[100:]) <= 22


def test_services_that_take_long_do_not_lower_it() -> None:
    learning = limit()
    for _ in range(100):
        learning.tell(Seconds(0.001), used=512)  # all of them wait, and the loop has nothing to do
    assert learning.value == 512


@given(
    st.integers(1, 20),
    st.integers(1, 100),
    st.integers(1, 200),
    st.lists(st.tuples(st.floats(0, 10), st.integers(0, 200), st.booleans(), st.floats(0, 1))),
)
def test_it_stays_within_its_bounds(
    least: int, most: int, start: int, windows: list[tuple[float, int, bool, float]]
) -> None:
    learning = LagLimit(least=least, most=most, target=TARGET)
    learning.begin(start)
    for lag, used, held_back, utilisation in windows:
        learning.tell(Seconds(lag), used=used, held_back=held_back, utilisation=utilisation)
        assert min(least, most) <= learning.value <= most
