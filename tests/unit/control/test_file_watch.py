"""A watched file: told of once, when it has come to rest; links are followed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from gateway.clock import Seconds
from gateway.control import FileWatch, Signature, signature
from gateway.control.file_watch import Rest
from gateway.telemetry import json_log
from gateway.testing import in_virtual_time

ONE, TWO, THREE = (Signature(number, 10, 1) for number in (1, 2, 3))


# -- the decision ------------------------------------------------------------------------------------------------------


def told(*looks: Signature | None, known: Signature | None = ONE) -> list[bool]:
    rest = Rest(known)
    return [rest.look(each) for each in looks]


def test_a_file_that_stays_as_it_is_is_never_told_of() -> None:
    assert told(ONE, ONE, ONE) == [False, False, False]


def test_a_new_file_is_told_of_once_when_it_was_seen_twice() -> None:
    assert told(TWO, TWO, TWO, TWO) == [False, True, False, False]


def test_a_file_that_is_being_written_is_not_told_of_until_it_rests() -> None:
    assert told(TWO, THREE, Signature(3, 11, 1), Signature(3, 12, 1), Signature(3, 12, 1)) == [False] * 4 + [True]


def test_a_file_that_is_back_before_it_rested_is_the_one_that_is_known() -> None:
    assert told(TWO, ONE, TWO, TWO) == [False, False, False, True]


def test_a_file_that_is_gone_for_a_moment_is_not_told_of_and_one_that_stays_away_is() -> None:
    assert told(None, ONE, None, None) == [False, False, False, True]
    assert told(None, TWO, TWO) == [False, False, True]
    assert told(TWO, TWO, known=None) == [False, True]


# -- what is seen ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["size", "inode", "mtime"])
def test_each_part_of_a_signature_tells_files_apart(tmp_path: Path, part: str) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("a = 1", encoding="utf-8")
    os.utime(file, ns=(5, 5))
    before = signature(file)
    match part:
        case "size":
            file.write_text("a = 10", encoding="utf-8")
            os.utime(file, ns=(5, 5))
        case "inode":
            (tmp_path / "beside").write_text("a = 2", encoding="utf-8")
            os.utime(tmp_path / "beside", ns=(5, 5))
            (tmp_path / "beside").replace(file)
        case _:
            os.utime(file, ns=(6, 6))
    assert signature(file) not in {before, None}


def test_a_folder_that_is_swapped_behind_a_link_is_seen_as_kubernetes_swaps_it(tmp_path: Path) -> None:
    for name in ("..2026_01", "..2026_02"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "gateway.toml").write_text("a = 1", encoding="utf-8")
        os.utime(tmp_path / name / "gateway.toml", ns=(5, 5))
    (tmp_path / "..data").symlink_to("..2026_01")
    (tmp_path / "gateway.toml").symlink_to("..data/gateway.toml")
    before = signature(tmp_path / "gateway.toml")
    (tmp_path / "..data_tmp").symlink_to("..2026_02")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    assert signature(tmp_path / "gateway.toml") not in {before, None}


def test_what_is_not_there_has_no_signature(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    assert signature(tmp_path / "dangling") is signature(tmp_path / "absent") is None


# -- the task ----------------------------------------------------------------------------------------------------------


def watch(
    look: Callable[[], Signature | None], changed: Callable[[], None], *, log: StringIO | None = None
) -> FileWatch:
    async def tell() -> None:
        changed()

    return FileWatch(look, known=ONE, interval=Seconds(2.0), changed=tell, log=json_log(log or StringIO()))


@in_virtual_time
async def test_a_change_is_told_of_a_quarter_of_a_second_after_the_look_that_saw_it() -> None:
    seen, times = [ONE], list[float]()
    watching = watch(lambda: seen[0], lambda: times.append(asyncio.get_running_loop().time()))
    await watching.start()
    await asyncio.sleep(3)
    seen[0] = TWO
    await asyncio.sleep(20)
    await watching.close()
    assert times == [pytest.approx(4.25)]


@in_virtual_time
async def test_the_watch_outlives_whatever_a_change_raises_and_ends_when_it_is_closed() -> None:
    seen, log, calls = [ONE], StringIO(), list[int]()

    def changed() -> None:
        calls.append(1)
        raise RuntimeError("boom")

    watching = watch(lambda: seen[0], changed, log=log)
    await watching.start()
    for state in (TWO, THREE):
        seen[0] = state
        await asyncio.sleep(5)
    await watching.close()
    await watching.close()
    assert len(calls) == 2
    assert "a changed file could not be taken" in log.getvalue()
    assert asyncio.all_tasks() == {asyncio.current_task()}
