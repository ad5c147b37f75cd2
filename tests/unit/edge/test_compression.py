"""Compressed answers: with what, from which size on, and that what is read is what was written."""

from __future__ import annotations

import gzip
import threading

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.compression import APART, GZIP, ZSTD, Coding, Compression, coding_for, compressed
from gateway.edge.negotiation import ranges_of


@pytest.mark.parametrize(
    ("accept_encoding", "chosen"),
    [
        ("gzip", GZIP),
        ("x-gzip", GZIP),
        ("GZIP", GZIP),
        ("zstd", ZSTD),
        ("gzip, zstd", ZSTD),
        ("gzip, deflate, br", GZIP),
        ("gzip, deflate, br, zstd", ZSTD),
        ("gzip;q=1.0, zstd;q=0.5", GZIP),
        ("gzip;q=0.5, zstd;q=0.8", ZSTD),
        ("gzip;q=0, zstd;q=0", None),
        ("zstd;q=0, *", GZIP),
        ("*", GZIP),
        ("*;q=0.1", GZIP),
        ("*;q=0", None),
        ("gzip;q=0, *", None),
        ("br, deflate", None),
        ("identity", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", GZIP),
        ("identity;q=0, gzip", GZIP),
        ("identity;q=0", None),
        ("", None),
        ("gzip;q=much", None),
    ],
)
def test_the_client_gets_the_coding_it_likes_best(accept_encoding: str, chosen: Coding | None) -> None:
    assert coding_for(accept_encoding) is chosen


@given(st.text())
def test_whatever_a_client_sends_it_gets_only_what_it_names(accept_encoding: str) -> None:
    chosen = coding_for(accept_encoding)
    if chosen is not None:
        assert {each.media for each in ranges_of(accept_encoding)} & {chosen.name, "x-gzip", "*"}


@pytest.mark.parametrize(("size", "is_compressed"), [(10, False), (11, True)])
def test_a_body_is_compressed_above_the_threshold(size: int, is_compressed: bool) -> None:
    assert (Compression(above=10).coding(b"x" * size, "gzip") is GZIP) is is_compressed


def test_a_client_that_says_nothing_gets_the_body_as_it_is() -> None:
    assert Compression(above=1).coding(b"xx", None) is None


@pytest.mark.parametrize("size", [1, 5_000, APART])
@pytest.mark.parametrize(("coding", "read"), [(GZIP, gzip.decompress), (ZSTD, zstandard.decompress)])
async def test_what_is_read_is_what_was_written(size: int, coding: Coding, read: type[bytes]) -> None:
    body = b"abc" * size
    assert read(await compressed(body, coding)) == body


@pytest.mark.parametrize(("size", "is_apart"), [(APART - 1, False), (APART, True)])
async def test_large_bodies_leave_the_event_loop_free(size: int, is_apart: bool) -> None:
    threads = list[int]()

    def compress(body: bytes) -> bytes:
        threads.append(threading.get_ident())
        return body

    await compressed(b"x" * size, Coding("none", compress))
    assert (threads[0] != threading.get_ident()) is is_apart


def test_a_zstd_frame_needs_no_larger_window_than_browsers_have() -> None:
    """RFC 9659: 8 MiB at most."""
    body = b"".join(b"%d" % each for each in range(2_000_000))
    assert len(body) > 8 * 1024 * 1024
    assert zstandard.get_frame_parameters(ZSTD.compress(body)).window_size <= 8 * 1024 * 1024
