"""Bytes of strangers: whatever is done to a request, it is refused or answered, nothing breaks, and the next one is served.

Derandomised, so that every run is the same; `SAGAQL_FUZZ=5000` tries as many, of another seed each time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.attacks.frames import BINARY, CLOSE, CONTINUED, DEFLATE, PING, PONG, TEXT, deflated, frame, handshake
from benchmarks.attacks.gateway import Query, graph_settings
from benchmarks.attacks.wire import INIT, SUBSCRIBE, post
from gateway.graph import build_graph
from gateway.testing import GatewayUnderTest
from tests.property.pipe import Door, Listening

SOAK = int(os.environ.get("SAGAQL_FUZZ", "0"))
FUZZ = settings(
    max_examples=SOAK or 200,
    derandomize=not SOAK,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
GRAPH = build_graph(Query)
GOOD = post(b'{"query": "{ __typename }"}')
CHUNKED = (
    b"POST /graphql HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    b'1a\r\n{"query":"{ __typename }"}\r\n0\r\n\r\n'
)
REQUESTS = [
    GOOD,
    CHUNKED,
    GOOD + CHUNKED,
    b"GET /graphql?query=%7B+__typename+%7D HTTP/1.1\r\nhost: h\r\naccept: application/json\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nhost: h\r\n\r\n",
    b"OPTIONS /graphql HTTP/1.1\r\nhost: h\r\norigin: https://evil.test\r\naccess-control-request-method: POST\r\n\r\n",
    b"HEAD /graphql?query=%7B+__typename+%7D HTTP/1.1\r\nhost: h\r\n\r\n",
    post(b'{"query": "{ __typename }"}', b"accept: text/event-stream", b"expect: 100-continue"),
    handshake(),
]
TOKENS = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b" ",
    b":",
    b"\t",
    b"%00",
    b"%ff",
    b"..",
    b"//",
    b"?",
    b"#",
    b"0\r\n\r\n",
    b"0\r\nx-a: b\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"-1\r\n",
    b"transfer-encoding: chunked\r\n",
    b"transfer-encoding: gzip, chunked\r\n",
    b"content-length: 5\r\n",
    b"content-length: 99999999999\r\n",
    b"content-type: text/plain\r\n",
    b"content-encoding: gzip\r\n",
    b"accept: */*;q=x\r\n",
    b"accept: multipart/mixed;deferSpec=20220824\r\n",
    b"connection: upgrade\r\nupgrade: h2c\r\n",
    b"connection: close\r\n",
    b"expect: 100-continue\r\n",
    b"authorization: Bearer \xff\r\n",
    b"x-request-timeout-ms: 1e9\r\n",
    b"origin: null\r\n",
    b"HTTP/1.0",
    b"HTTP/9.9",
    b"GET / HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


@dataclass(frozen=True)
class Change:
    """To a request, at a part of its length: so many bytes are taken out, and others put in. `snaps`: where a line begins."""

    at: float
    out: int
    put: bytes
    snaps: bool = False

    def applied(self, to: bytes) -> bytes:
        start = int(self.at * len(to))
        if self.snaps:
            start = to.rfind(b"\r\n", 0, start) + 2
        return to[:start] + self.put + to[start + self.out :]


put = st.sampled_from(TOKENS) | st.binary(max_size=12)
changes = st.lists(
    st.builds(Change, at=st.floats(0, 1, exclude_max=True), out=st.integers(0, 20), put=put)
    | st.builds(Change, at=st.floats(0.2, 1), out=st.just(0), put=put, snaps=st.just(True)),
    min_size=1,
    max_size=4,
)
cuts = st.lists(st.floats(0, 1), max_size=4)
payloads = (
    st.sampled_from(
        [SUBSCRIBE, b'{"type":"ping"}', b'{"type":"complete","id":"a"}', b'{"type":"connection_init"}', b"[]"]
    )
    | st.binary(max_size=200)
    | st.just(deflated(3_000_000))
)
opcodes = st.sampled_from([TEXT, BINARY, CONTINUED, CLOSE, PING, PONG, 3, 11])
frames = (
    st.builds(frame, payloads)
    | st.builds(frame, payloads, opcode=st.sampled_from([TEXT, CONTINUED, PING]), fin=st.booleans())
    | st.builds(frame, payloads, opcode=opcodes, fin=st.booleans(), compressed=st.booleans(), is_masked=st.booleans())
)


def cut(request: bytes, at: Sequence[float]) -> list[bytes]:
    places = sorted({0, len(request), *(int(each * len(request)) for each in at)})
    return [request[start:end] for start, end in pairwise(places)]


class Fuzzed:
    """A gateway, and what is true after whatever it was sent."""

    def __init__(self, runner: asyncio.Runner, door: Door, complaints: list[str]) -> None:
        self._runner = runner
        self._door = door
        self._complaints = complaints

    def send(self, pieces: Sequence[bytes]) -> None:
        received = self._runner.run(self._door.send(pieces)).received
        after = self._runner.run(self._door.send([GOOD])).received
        assert self._complaints == []
        assert not [each for each in statuses(received) if each >= 500], received
        assert b"Traceback" not in received
        assert statuses(after) == [200], "the next one is served"


def statuses(received: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


@contextmanager
def fuzzed() -> Generator[Fuzzed]:
    complaints = list[str]()
    listening = Listening(complaints)
    logging.getLogger().addHandler(listening)
    try:
        with asyncio.Runner() as runner:
            runner.get_loop().set_exception_handler(lambda _, context: complaints.append(str(context)))
            gateway = GatewayUnderTest(graph_settings(), GRAPH, wires={})
            runner.run(gateway.__aenter__())
            yield Fuzzed(runner, Door(gateway.app, complaints), complaints)
            runner.run(gateway.__aexit__(None, None, None))
    finally:
        logging.getLogger().removeHandler(listening)


def test_whatever_is_done_to_a_request_it_is_answered_or_refused_and_the_next_one_is_served() -> None:
    with fuzzed() as gateway:

        @FUZZ
        @given(st.sampled_from(REQUESTS), changes, cuts)
        def run(request: bytes, changed: list[Change], at: list[float]) -> None:
            for change in changed:
                request = change.applied(request)
            gateway.send(cut(request, at))

        run()


def test_whatever_frames_a_websocket_sends_it_is_answered_or_closed_and_others_are_served() -> None:
    with fuzzed() as gateway:

        @FUZZ
        @given(st.booleans(), st.lists(frames, max_size=6), st.just([]) | changes, cuts)
        def run(is_introduced: bool, sent: list[bytes], changed: list[Change], at: list[float]) -> None:
            stream = (INIT if is_introduced else b"") + b"".join(sent)
            for change in changed:
                stream = change.applied(stream)
            gateway.send([handshake(DEFLATE), *cut(stream, at)])

        run()
