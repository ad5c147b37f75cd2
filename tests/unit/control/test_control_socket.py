"""The control socket over real sockets: one line in, one line out, for its owner only."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest

from gateway.control import Caller, Command, Commands, ControlServer, NotListening, Refused, ask
from gateway.control import server as server_module
from gateway.control.message import MAX_REQUEST
from gateway.control.place import LONGEST, Place, Unplaceable
from gateway.telemetry import json_log


async def echo(arguments: Mapping[str, Any], caller: Caller) -> Any:
    return {"arguments": arguments, "uid": caller.uid}


async def refuse(_: Mapping[str, Any], __: Caller) -> Any:
    raise Refused(["first", "second"])


async def fail(_: Mapping[str, Any], __: Caller) -> Any:
    raise RuntimeError("a secret of ours")


COMMANDS: dict[str, Command] = {"echo": echo, "refuse": refuse, "fail": fail}


@pytest.fixture
def path() -> Any:
    """Short enough for a socket, which pytest's own folders need not be."""
    with TemporaryDirectory(prefix="sagaql") as folder:
        yield Path(folder) / "control.sock"


@asynccontextmanager
async def listening(
    path: Path, *, log: StringIO | None = None, commands: Mapping[str, Command] = COMMANDS
) -> AsyncIterator[ControlServer]:
    server = ControlServer(path, Commands(commands), log=json_log(log or StringIO()))
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def said(path: Path, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
    return await asyncio.to_thread(ask, path, command, arguments)


async def raw(path: Path, data: bytes) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    writer.write_eof()
    found: dict[str, Any] = msgspec.json.decode(await reader.read())
    writer.close()
    return found


# -- asking ------------------------------------------------------------------------------------------------------------


async def test_a_command_is_run_with_its_arguments_for_the_user_that_the_kernel_names(path: Path) -> None:
    async with listening(path):
        found = await said(path, "echo", {"n": [1, "zwei"]})
    assert found == {"arguments": {"n": [1, "zwei"]}, "uid": os.getuid()}


async def test_what_stands_in_the_way_comes_back_as_sentences(path: Path) -> None:
    async with listening(path):
        with pytest.raises(Refused) as caught:
            await said(path, "refuse")
        with pytest.raises(Refused, match="there is no command 'ecko': did you mean 'echo'"):
            await said(path, "ecko")
    assert caught.value.problems == ["first", "second"]


async def test_a_bug_of_a_command_is_told_in_the_log_alone_and_the_next_one_is_served(path: Path) -> None:
    log = StringIO()
    async with listening(path, log=log):
        with pytest.raises(Refused, match="its log says how") as caught:
            await said(path, "fail")
        assert await said(path, "echo")
    assert "secret" not in str(caught.value)
    assert "command failed" in log.getvalue()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "a command is one line of JSON"),
        (b"nonsense\n", "a command is one line of JSON"),
        (b'{"command": "echo"}', "a command is one line of JSON"),
        (b'{"command": "echo", "more": 1}\n', "a command is one line of JSON"),
        (b"[]\n", "a command is one line of JSON"),
        (b"\xff\n", "a command is one line of JSON"),
        (b"x" * (MAX_REQUEST + 2), "a command may have 65536 bytes"),
    ],
)
async def test_a_line_that_is_no_command_is_answered_with_what_one_is(path: Path, data: bytes, problem: str) -> None:
    async with listening(path):
        found = await raw(path, data)
    assert found["problems"][0].startswith(problem)


async def test_a_caller_that_says_nothing_is_told_so_in_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "SPEAKS_WITHIN", 0.1)
    async with listening(path):
        reader, writer = await asyncio.open_unix_connection(path)
        assert b"no command came within 0.1 s" in await reader.read()
        writer.close()


async def test_a_command_that_does_not_end_is_given_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(_: Mapping[str, Any], __: Caller) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(server_module, "DONE_WITHIN", 0.1)
    async with listening(path, commands={"hang": hang}):
        with pytest.raises(Refused, match=r"hang was not done within 0\.1 s"):
            await said(path, "hang")


async def test_callers_beyond_the_bound_are_told_and_closing_ends_all_of_them(path: Path) -> None:
    async with listening(path) as server:
        silent = [await asyncio.open_unix_connection(path) for _ in range(server_module.MAX_CALLERS)]
        with pytest.raises(Refused, match="8 commands are being run already"):
            await said(path, "echo")
        await server.close()
        assert [await reader.read() for reader, _ in silent] == [b""] * len(silent)
        for _, writer in silent:
            writer.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_name_is_registered_once() -> None:
    commands = Commands(COMMANDS)
    with pytest.raises(ValueError, match="'echo' already"):
        commands.add({"echo": echo})
    commands.add({"sagas": echo})
    assert repr(commands) == "<Commands echo, fail, refuse, sagas>"


# -- nobody there ------------------------------------------------------------------------------------------------------


async def test_where_no_gateway_listens_the_sentence_says_how_to_start_one(path: Path) -> None:
    with pytest.raises(NotListening, match=r"no gateway listens at .*: start it with `sagaql serve`"):
        ask(path, "echo")
    with closing(socket.socket(socket.AF_UNIX)) as stale:
        stale.bind(os.fspath(path))
    with pytest.raises(NotListening, match="no gateway listens"):
        ask(path, "echo")


def test_a_path_that_is_too_long_for_a_socket_is_a_sentence_at_both_ends(tmp_path: Path) -> None:
    long = tmp_path / ("x" * LONGEST)
    for attempt in (lambda: ask(long, "echo"), Place(long).take):
        with pytest.raises((NotListening, Unplaceable), match=r"may have \d+: set server.control to a shorter one"):
            attempt()


# -- the place ---------------------------------------------------------------------------------------------------------


def test_the_socket_is_its_owner_s_alone_before_it_listens_and_gone_when_it_is_given_up(path: Path) -> None:
    before, place = os.umask(0), Place(path)
    try:
        with closing(place.take()):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)
    place.give_up()
    assert not path.exists()


async def test_a_socket_that_a_killed_gateway_left_is_replaced(path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as stale:
        stale.bind(os.fspath(path))
    async with listening(path):
        assert await said(path, "echo")


async def test_a_second_gateway_leaves_the_first_one_s_socket_alone_and_says_so(path: Path) -> None:
    log = StringIO()
    async with listening(path):
        async with listening(path, log=log) as second:
            assert not second.is_listening
        assert await said(path, "echo")
    assert "another gateway's: set server.control to a path of its own" in log.getvalue()


def test_a_file_that_is_no_socket_is_never_removed(path: Path) -> None:
    path.write_text("precious", encoding="utf-8")
    with pytest.raises(Unplaceable, match="is there and is no socket: remove it"):
        Place(path).take()
    assert path.read_text(encoding="utf-8") == "precious"


def test_a_folder_that_cannot_be_had_is_a_sentence_and_a_folder_that_is_not_there_is_made(path: Path) -> None:
    place = Place(path.parent / "below" / "control.sock")
    place.take().close()
    place.give_up()
    path.write_text("a file, not a folder", encoding="utf-8")
    with pytest.raises(Unplaceable, match="cannot be a socket"):
        Place(path / "below" / "control.sock").take()


async def test_a_socket_that_cannot_be_had_does_not_keep_a_gateway_from_serving(tmp_path: Path) -> None:
    log = StringIO()
    async with listening(tmp_path / ("x" * LONGEST), log=log) as server:
        assert not server.is_listening
    assert "no control socket" in log.getvalue()
