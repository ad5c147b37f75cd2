"""The learnt limit of operations: it finds what the processor bears, and no slow service lowers it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.lag_limit import LagLimit
from gateway.clock import Seconds

TARGET = Seconds(0.02)


def limit(most: int = 512) -> LagLimit:
    return LagLimit(least=8, most=most, target=TARGET)


def test_it_begins_with_all_that_is_allowed() -> None:
    assert (limit().value, limit().is_at_most) == (512, True)


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
    learning.tell(Seconds(0.0), used=held - 10)
    assert learning.value == held
    learning.tell(Seconds(0.0), used=held)
    assert learning.value == held + 4


def test_after_the_load_it_returns_to_all_that_is_allowed() -> None:
    learning = limit(most=50)
    learning.tell(Seconds(0.05), used=50)
    for _ in range(20):
        learning.tell(Seconds(0.0), used=0)
    assert learning.is_at_most


def test_a_process_that_bears_twenty_at_once_is_found_and_held() -> None:
    """A model: each operation beyond ten makes the loop two milliseconds later."""
    learning, seen = limit(), list[int]()
    for _ in range(300):
        used = learning.value  # more come than may run
        learning.tell(Seconds(max(0.0, (used - 10) * 0.002)), used=used)
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
    st.lists(st.tuples(st.floats(0, 10), st.integers(0, 200))),
)
def test_it_stays_within_its_bounds(least: int, most: int, windows: list[tuple[float, int]]) -> None:
    learning = LagLimit(least=least, most=most, target=TARGET)
    for lag, used in windows:
        learning.tell(Seconds(lag), used=used)
        assert min(least, most) <= learning.value <= most
