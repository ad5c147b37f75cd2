"""One connection: whatever the bytes and however they are cut, an exchange ends in exactly one way."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.services.http1_connection import MAX_HEAD, Broken, Connection, ExchangeBroken
from gateway.services.request import ServiceResponse
from gateway.testing import in_virtual_time, run_virtual

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nX-A: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: t\r\n\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK


class Pipe:
    """A transport that remembers."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False
        self.unsent = 0

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.is_closed = True

    close = abort

    def get_write_buffer_size(self) -> int:
        return self.unsent


def connected() -> tuple[Connection, Pipe]:
    connection, pipe = Connection(), Pipe()
    connection.connection_made(pipe)  # type: ignore[arg-type]  # what a connection uses of a transport
    return connection, pipe


def begun(
    *, is_head: bool = False, max_response: int = 1000
) -> tuple[Connection, Pipe, asyncio.Future[ServiceResponse]]:
    connection, pipe = connected()
    return connection, pipe, connection.exchange(b"GET", is_head=is_head, max_response=max_response)


async def broken(future: asyncio.Future[ServiceResponse]) -> Broken:
    with pytest.raises(ExchangeBroken) as caught:
        await future
    return caught.value.how


@given(st.sampled_from([OK, CHUNKED, EARLY_HINTS]), st.lists(st.integers(0, 200)))
def test_an_answer_is_the_same_however_its_bytes_are_cut(wire_bytes: bytes, cuts: list[int]) -> None:
    async def run() -> None:
        connection, pipe, answer = begun()
        places = sorted({0, len(wire_bytes), *(cut for cut in cuts if cut < len(wire_bytes))})
        for begin, end in pairwise(places):
            assert not answer.done()
            connection.data_received(wire_bytes[begin:end])
        found = await answer
        assert (found.status, found.body) == (200, b"abcde" if wire_bytes is CHUNKED else b"{}")
        assert wire_bytes is CHUNKED or found.headers == {"x-a": "1, 2"}
        assert connection.is_reusable
        assert not pipe.is_closed

    run_virtual(run())


@in_virtual_time
async def test_a_connection_serves_one_exchange_after_the_other() -> None:
    connection, pipe, first = begun()
    connection.data_received(OK)
    await first
    second = connection.exchange(b"POST", is_head=False, max_response=1000)
    connection.data_received(CHUNKED)
    assert (await second).body == b"abcde"
    assert (pipe.written, connection.exchanges) == (b"GETPOST", 2)


@pytest.mark.parametrize(
    ("received", "how"),
    [
        (b"", Broken.CLOSED),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Broken.CUT_OFF),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", Broken.CUT_OFF),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", Broken.CUT_OFF),
    ],
)
@in_virtual_time
async def test_a_connection_that_ends_too_early_is_no_answer(received: bytes, how: Broken) -> None:
    connection, _, answer = begun()
    if received:
        connection.data_received(received)
    connection.connection_lost(None)
    assert await broken(answer) is how
    assert not connection.is_reusable


@pytest.mark.parametrize(
    ("received", "how"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", Broken.NOT_HTTP),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Broken.CUT_OFF),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", Broken.NOT_HTTP),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", Broken.NOT_HTTP),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", Broken.OVERSIZE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Encoding: br\r\n\r\nabc", Broken.ENCODING),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Encoding: gzip\r\n\r\nabc", Broken.CUT_OFF),
    ],
)
@in_virtual_time
async def test_what_cannot_be_read_ends_the_connection_at_once(received: bytes, how: Broken) -> None:
    connection, pipe, answer = begun()
    connection.data_received(received)
    assert await broken(answer) is how
    assert pipe.is_closed


@in_virtual_time
async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    connection, _, answer = begun()
    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nab")
    connection.data_received(b"cd")
    assert not answer.done()
    connection.connection_lost(None)
    assert (await answer).body == b"abcd"


@in_virtual_time
async def test_a_reset_does_not_end_such_an_answer_well() -> None:
    connection, _, answer = begun()
    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nab")
    connection.connection_lost(ConnectionResetError())
    assert await broken(answer) is Broken.CUT_OFF


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress, lambda data: zlib.compress(data)[2:-4]])
@in_virtual_time
async def test_a_compressed_body_is_given_as_it_was(encode: Any) -> None:
    connection, _, answer = begun()
    name, body = (b"gzip" if encode is gzip.compress else b"deflate"), encode(b"hello " * 20)
    connection.data_received(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s" % (name, len(body), body)
    )
    found = await answer
    assert (found.body, dict(found.headers)) == (b"hello " * 20, {})


@in_virtual_time
async def test_a_bomb_is_given_up_before_it_is_unpacked() -> None:
    connection, _, answer = begun()
    body = gzip.compress(b"\0" * 10_000_000, compresslevel=9)[:900]
    connection.data_received(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    assert await broken(answer) is Broken.OVERSIZE


@in_virtual_time
async def test_chunks_beyond_the_cap_are_given_up() -> None:
    connection, pipe, answer = begun(max_response=4)
    connection.data_received(CHUNKED)
    assert await broken(answer) is Broken.OVERSIZE
    assert pipe.is_closed


@in_virtual_time
async def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    connection, pipe, answer = begun()
    connection.data_received(OK + OK)  # the second one is an answer to nothing
    assert (await answer).body == b"{}"
    assert not connection.is_reusable

    connection, pipe, answer = begun()
    connection.data_received(OK)
    await answer
    connection.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert pipe.is_closed
    assert not connection.is_reusable


@pytest.mark.parametrize("last", [b"Connection: close\r\n", b""])
@in_virtual_time
async def test_the_service_says_whether_the_connection_is_kept(last: bytes) -> None:
    connection, pipe, answer = begun()
    connection.data_received(b"HTTP/1.1 204 No Content\r\nKeep-Alive: timeout=5, max=10\r\n%s\r\n" % last)
    assert (await answer).status == 204
    assert (connection.is_reusable, pipe.is_closed) == (not last, bool(last))
    assert connection.keep_alive == 5.0


@in_virtual_time
async def test_an_answer_that_comes_before_the_request_was_sent_spends_the_connection() -> None:
    connection, pipe, answer = begun()
    pipe.unsent = 10
    connection.data_received(OK)
    assert (await answer).status == 200
    assert not connection.is_reusable


@in_virtual_time
async def test_the_answer_to_a_head_has_no_body_whatever_its_length_says() -> None:
    connection, _, answer = begun(is_head=True)
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
    assert (await answer).body == b""
    assert not connection.is_reusable


@in_virtual_time
async def test_a_switch_of_protocols_is_no_answer() -> None:
    connection, _, answer = begun()
    connection.data_received(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    assert await broken(answer) is Broken.NOT_HTTP


@in_virtual_time
async def test_what_comes_after_nobody_waits_any_more_is_nobody_s() -> None:
    connection, pipe, answer = begun()
    answer.cancel()
    connection.abort()
    connection.data_received(OK)
    connection.connection_lost(None)
    assert pipe.is_closed
    assert repr(connection) == "<Connection closed, 0 exchanges>"


@in_virtual_time
async def test_an_answer_to_nothing_changes_nothing_in_the_answer_before_it() -> None:
    connection, _, answer = begun()
    connection.data_received(OK + b"HTTP/1.1 503 No\r\nRetry-After: 600\r\nX-A: 9\r\nContent-Length: 0\r\n\r\n")
    found = await answer
    assert (found.status, found.headers) == (200, {"x-a": "1, 2"})
    assert not connection.is_reusable


@in_virtual_time
async def test_what_stands_in_trailers_is_no_header() -> None:
    """They come when the answer has been understood already (RFC 9110, 6.5.1)."""
    connection, _, answer = begun()
    trailers = b"Content-Encoding: br\r\nRetry-After: 600\r\nKeep-Alive: timeout=900\r\n"
    connection.data_received(CHUNKED.replace(b"X-Trailer: t\r\n", trailers))
    found = await answer
    assert (found.body, found.headers, connection.keep_alive) == (b"abcde", {}, None)
    assert connection.is_reusable


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"a" * 995 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * 1000),
        (b"", b"HTTP/1.1 103 Early Hints\r\nX-A: " + b"a" * 965 + b"\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X-A: " + b"a" * 995 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=", b"a" * 1000),
    ],
    ids=["headers", "a value", "early hints", "trailers", "a chunk's extension"],
)
@in_virtual_time
async def test_what_is_no_body_is_given_up_too_when_it_does_not_end(begin: bytes, more: bytes) -> None:
    connection, pipe, answer = begun()
    connection.data_received(begin)
    for _ in range(MAX_HEAD // len(more) + 1):
        assert not answer.done()
        connection.data_received(more)
    assert await broken(answer) is Broken.HEAD
    assert pipe.is_closed


@in_virtual_time
async def test_a_body_in_many_small_chunks_is_held_as_what_it_is() -> None:
    connection, _, answer = begun(max_response=100_000)
    connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    tracemalloc.start()
    for _ in range(50):
        connection.data_received(b"2\r\nab\r\n" * 1000)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 400_000
    connection.data_received(b"0\r\n\r\n")
    assert (await answer).body == b"ab" * 50_000


@in_virtual_time
async def test_a_body_compressed_in_several_members_is_given_whole() -> None:
    """RFC 1952, 2.2: members simply follow one another. Half of an answer is worse than none."""
    body = gzip.compress(b'{"a": ') + gzip.compress(b"1}") + b"\0\0"
    connection, _, answer = begun()
    connection.data_received(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    assert (await answer).body == b'{"a": 1}'


@pytest.mark.parametrize(
    ("body", "how"),
    [
        (gzip.compress(b"{}") + b"more", Broken.CUT_OFF),
        (gzip.compress(b"{}") + gzip.compress(b"more")[:-1], Broken.CUT_OFF),
        (zlib.compress(b"{}") + b"more", Broken.CUT_OFF),
        (gzip.compress(b"") * 17, Broken.CUT_OFF),
        (gzip.compress(b"a" * 600) + gzip.compress(b"b" * 600), Broken.OVERSIZE),
    ],
    ids=["text", "half a member", "text after deflate", "too many members", "too much"],
)
@in_virtual_time
async def test_what_follows_a_compressed_body_is_not_overlooked(body: bytes, how: Broken) -> None:
    connection, _, answer = begun()
    connection.data_received(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    assert await broken(answer) is how


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Encoding: br\r\nContent-Encoding: gzip\r\n",
        b"Content-Encoding: gzip, gzip\r\n",
        b"Content-Encoding: gzip\r\nContent-Encoding: identity\r\n",
    ],
)
@in_virtual_time
async def test_what_is_encoded_twice_was_not_asked_for(headers: bytes) -> None:
    body = gzip.compress(b"{}")
    connection, _, answer = begun()
    connection.data_received(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (headers, len(body), body))
    assert await broken(answer) is Broken.ENCODING


@in_virtual_time
async def test_a_body_that_is_compressed_for_the_way_was_not_asked_for() -> None:
    connection, _, answer = begun()
    connection.data_received(CHUNKED.replace(b"chunked", b"gzip, chunked", 1))
    assert await broken(answer) is Broken.ENCODING


@in_virtual_time
async def test_a_status_that_is_none_is_no_answer_to_wait_for() -> None:
    connection, _, answer = begun()
    connection.data_received(b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n")
    assert await broken(answer) is Broken.NOT_HTTP


@in_virtual_time
async def test_a_connection_that_the_service_is_closing_is_not_used_although_it_is_still_open() -> None:
    """The loop tells of its end a turn later: a write that went out in between would be of unknown outcome."""
    connection, _, answer = begun()
    connection.data_received(OK)
    await answer
    connection.eof_received()
    assert not connection.is_reusable


@in_virtual_time
async def test_whoever_still_waits_when_a_connection_is_closed_is_told() -> None:
    connection, _, answer = begun()
    connection.abort()
    assert await broken(answer) is Broken.CLOSED
