"""Permits of operations: so many and no more, and all of them come back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission import Admission
from gateway.errors import Draining, Overloaded
from gateway.telemetry import Telemetry


def in_flight(telemetry: Telemetry) -> float | None:
    return telemetry.metrics.registry.get_sample_value("sagaql_operations_in_flight")


def test_beyond_the_limit_the_number_and_the_limit_are_told() -> None:
    telemetry = Telemetry()
    admission = Admission(1, telemetry=telemetry)
    with admission.permit():
        assert (repr(admission), in_flight(telemetry)) == ("<Admission 1/1 in flight>", 1.0)
        with pytest.raises(Overloaded, match="1 operations are under way, the limit is 1"), admission.permit():
            raise AssertionError("never entered")
    assert (repr(admission), in_flight(telemetry)) == ("<Admission 0/1 in flight>", 0.0)


def test_while_draining_nobody_enters_and_whoever_is_in_goes_out() -> None:
    admission = Admission(2, telemetry=Telemetry())
    with admission.permit():
        admission.is_draining = True
        with pytest.raises(Draining), admission.permit():
            raise AssertionError("never entered")
        assert repr(admission) == "<Admission 1/2 in flight, draining>"
    assert admission.in_flight == 0


@given(st.lists(st.sampled_from([None, ValueError, KeyboardInterrupt]), max_size=20))
def test_however_an_operation_ends_its_permit_comes_back(ends: list[type[BaseException] | None]) -> None:
    admission = Admission(1, telemetry=Telemetry())
    for end in ends:
        try:
            with admission.permit():
                if end is not None:
                    raise end
        except (ValueError, KeyboardInterrupt):
            pass
    assert admission.in_flight == 0
