"""A request's headers as the edge reads them: decoded once, the first value of a name, or all of them."""

from __future__ import annotations

from starlette.datastructures import Headers

from gateway.edge.client_headers import ClientHeaders

RAW = [(b"accept", b"*/*"), (b"connection", b"close"), (b"accept", b"text/html"), (b"x-name", b"caf\xe9")]


def test_a_name_has_its_first_value_as_starlette_reads_it() -> None:
    headers, theirs = ClientHeaders(RAW), Headers(raw=RAW)
    assert dict(headers) == {name: theirs[name] for name in theirs}
    assert headers.pairs == theirs.items()


def test_all_values_of_a_name_come_in_their_order_and_none_of_one_that_was_not_sent() -> None:
    headers = ClientHeaders(RAW)
    assert (headers.all_of("accept"), headers.all_of("x-other")) == (["*/*", "text/html"], [])


def test_headers_that_can_be_read_only_once_are_kept_for_whoever_reads_them_after() -> None:
    assert ClientHeaders(iter(RAW)).raw == RAW
