"""The collector of a process that is ours: it looks seldom, and never at what was there when the process had started."""

import gc
from collections.abc import Generator

import pytest

from gateway import collector


@pytest.fixture(autouse=True)
def as_it_was() -> Generator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_it_looks_less_often_than_python_s_own_but_looks() -> None:
    usual = gc.get_threshold()
    collector.leave_what_is_there()
    assert all(ours >= theirs for ours, theirs in zip(gc.get_threshold(), usual, strict=True))
    assert gc.isenabled()


def test_what_is_there_is_left_and_what_comes_in_cycles_later_is_found() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.itself = self

    kept = Cycle()
    collector.leave_what_is_there()
    assert gc.get_freeze_count() > 0
    assert all(each is not kept for each in gc.get_objects())
    Cycle()
    assert gc.collect() > 0
