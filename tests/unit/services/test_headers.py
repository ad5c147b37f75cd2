"""Which headers go to a service: rules that are checked when built, and what they let through."""

from __future__ import annotations

from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import LoopClock
from gateway.services import ServiceConfig, ServiceRequest, SetHeader
from gateway.services.config import changes
from gateway.services.headers import CREDENTIALS, HOP_BY_HOP, NEVER_GIVEN, WRITTEN_HERE, named_by_connection, names_in
from gateway.services.http1_wire import Http1Wire, _Origin
from gateway.telemetry import Telemetry, json_log

KEY = SetHeader("x-api-key", "s3cret-of-ours")


def config(*, send: tuple[str, ...] = (), sets: tuple[SetHeader, ...] = ()) -> ServiceConfig:
    return ServiceConfig(instances=("http://catalog.test",), send_headers=send, set_headers=sets)


def message(configured: ServiceConfig, *headers: tuple[str, str], body: bytes | None = None) -> list[str]:
    """The lines that the wire would write."""
    telemetry = Telemetry(log=json_log(StringIO(), level="error"))
    wire = Http1Wire("catalog", configured, telemetry=telemetry, clock=LoopClock())
    request = ServiceRequest(service="catalog", path="/stock", endpoint="GET /stock", headers=headers, body=body)
    head = wire._message(request, _Origin("http://catalog.test")).partition(b"\r\n\r\n")[0]
    return head.decode("latin-1").split("\r\n")


# -- what may be declared ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, "ends there") for name in sorted(HOP_BY_HOP)),
        *((name, "writes it itself") for name in sorted(WRITTEN_HERE)),
        ("content-type", "describes the GraphQL request"),
        ("range", "describes the GraphQL request"),
        ("", "not the name of a header"),
        ("x tenant", "not the name of a header"),
        ("x-tenant\r\n", "not the name of a header"),
        ("*", "ends with a dash"),
        ("x*", "ends with a dash"),
        ("x-*-id", "ends with a dash"),
        ("authorization*", "ends with a dash"),
    ],
)
def test_what_must_not_be_forwarded_is_refused_when_built(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        config(send=(name,))


@pytest.mark.parametrize("name", ["authorization", "cookie", "x-api-key", "accept-language", "x-tenant-*", "x-*"])
def test_credentials_by_their_whole_name_and_patterns_may_be_declared(name: str) -> None:
    assert config(send=(name,)).send_headers == (name,)


def test_a_pattern_takes_what_begins_so_and_neither_credentials_nor_what_must_not_go_on() -> None:
    forwards = names_in(("x-*", "proxy-*", "content-*"))
    assert forwards("x-tenant-id")
    assert [name for name in CREDENTIALS | NEVER_GIVEN | {"content-type", "x", "tenant"} if forwards(name)] == []


def test_beside_a_pattern_credentials_are_taken_where_they_are_named() -> None:
    forwards = names_in(("x-*", "x-api-key", "authorization"))
    assert [forwards(name) for name in ("x-api-key", "authorization", "x-auth-token")] == [True, True, False]


@given(
    st.lists(st.sampled_from(["x-*", "a-*", "cookie", "x-tenant-*", "proxy-*", "te-*", "x-a"]), max_size=5), st.text()
)
def test_no_declaration_takes_a_header_that_ends_with_the_connection(patterns: list[str], name: str) -> None:
    forwards = names_in(tuple(patterns))
    for each in (*NEVER_GIVEN, name if name in NEVER_GIVEN else "te"):
        assert not forwards(each)


def test_headers_that_the_client_s_connection_names_are_of_the_connection() -> None:
    assert named_by_connection(["close, X-Tenant-Id ", "keep-alive"]) == {"close", "x-tenant-id", "keep-alive"}
    assert named_by_connection([]) == frozenset()


# -- constants ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sets", "reason"),
    [
        ((SetHeader("host", "s3cret"),), "writes it itself"),
        ((SetHeader("x-sagaql-faults", "s3cret"),), "writes it itself"),
        ((SetHeader("transfer-encoding", "s3cret"),), "concerns a connection"),
        ((SetHeader("x-a", "s3cret\r\nx-b: 1"),), "no line break"),
        ((SetHeader("x-a", "s3cret\0"),), "no control character"),
        ((SetHeader("x-a", "s3cret€"),), "Latin-1 only"),
        ((SetHeader("x a", "s3cret"),), "cannot stand in a header's line"),
        ((SetHeader("x-a", ""),), "empty"),
        ((SetHeader("x-a", "s3cret"), SetHeader("x-a", "s3cret2")), "twice"),
        ((SetHeader("x-tenant-id", "s3cret"),), "send_headers forwards the client's"),
    ],
)
def test_a_constant_that_cannot_be_sent_is_refused_when_built_and_its_value_is_not_repeated(
    sets: tuple[SetHeader, ...], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        config(send=("x-tenant-*",), sets=sets)
    assert "s3cret" not in str(caught.value)


def test_no_text_of_ours_shows_a_constant_s_value() -> None:
    bare, keyed, other = config(), config(sets=(KEY,)), config(sets=(SetHeader("x-api-key", "s3cret-anew"),))
    texts = [repr(keyed), str(keyed), str(KEY), f"{KEY}", *changes("catalog", bare, keyed)]
    texts += [*changes("catalog", keyed, other), *changes("catalog", other, bare)]
    assert not [text for text in texts if "s3cret" in text]
    assert changes("catalog", bare, keyed) == ["catalog: set_headers none → x-api-key"]
    assert changes("catalog", keyed, other) == ["catalog: set_headers x-api-key: another value"]


# -- the line ----------------------------------------------------------------------------------------------------------


def test_a_constant_goes_with_every_request_and_wins_over_whoever_else_says_it() -> None:
    lines = message(
        config(sets=(KEY, SetHeader("content-type", "text/csv"))), ("X-Api-Key", "of-the-client"), body=b"1"
    )
    assert [line for line in lines if line.lower().startswith(("x-api-key", "content-type"))] == [
        "x-api-key: s3cret-of-ours",
        "content-type: text/csv",
    ]


def test_what_the_wire_writes_itself_it_takes_from_nobody() -> None:
    lines = message(config(), *((name, "forged") for name in sorted(NEVER_GIVEN)))
    assert not [line for line in lines if "forged" in line]


@given(st.text(max_size=8), st.text(max_size=8), st.sampled_from(["\r", "\n", "\0", "\r\n", "\x0b", "\x7f", "\u2028"]))
def test_no_value_that_breaks_its_line_reaches_the_wire(before: str, after: str, breaks: str) -> None:
    with pytest.raises(ValueError, match="breaks the line"):
        message(config(), ("x-tenant", before + breaks + after))


@given(st.text(max_size=20))
def test_whatever_is_sent_is_one_line_more(value: str) -> None:
    try:
        lines = message(config(), ("x-tenant", value))
    except ValueError:
        return
    assert f"x-tenant: {value}" in lines
    assert len(lines) == len(message(config())) + 1
