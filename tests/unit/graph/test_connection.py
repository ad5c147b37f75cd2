"""Cursors: one an edge, opaque, refused where they are not ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadUserInput
from gateway.graph import Connection, connection, window
from gateway.loading import Page

MAX_PAGE = 1_000


def page_of(length: int, *, begin: str | None, limit: int) -> Page[int]:
    """What a service of the numbers below `length` answers: its cursor is the number that comes next."""
    start = int(begin or 0)
    end = min(length, start + limit)
    return Page(list(range(start, end)), next=str(end) if end < length else None, total=length)


def read(length: int, first: int, after: str | None) -> Connection[int]:
    asked = window(first, after, longest=MAX_PAGE)
    return connection(page_of(length, begin=asked.cursor.page, limit=asked.limit), asked)


def rest(length: int, first: int, after: str | None) -> list[int]:
    """Everything that comes after `after`, page by page."""
    seen: list[int] = []
    for _ in range(length + 2):
        page = read(length, first, after)
        seen += [edge.node for edge in page.edges]
        if not page.page_info.has_next_page:
            return seen
        after = page.page_info.end_cursor
    raise AssertionError("paging does not end")


sizes = st.integers(1, 9)


@given(length=st.integers(0, 30), first=sizes)
def test_paging_forward_gives_the_whole_list(length: int, first: int) -> None:
    assert rest(length, first, None) == list(range(length))


@given(length=st.integers(1, 25), first=sizes, then=sizes)
def test_resuming_from_every_edge_gives_what_follows_it(length: int, first: int, then: int) -> None:
    after: str | None = None
    for _ in range(length):
        page = read(length, first, after)
        for edge in page.edges:
            assert rest(length, then, edge.cursor) == list(range(edge.node + 1, length))
        after = page.page_info.end_cursor
        if not page.page_info.has_next_page:
            break


@given(length=st.integers(1, 25), hops=st.lists(st.tuples(sizes, st.integers(0, 8)), max_size=8))
def test_resuming_again_and_again_from_the_middle_never_loses_the_place(
    length: int, hops: list[tuple[int, int]]
) -> None:
    after, expected = None, 0
    for first, which in hops:
        page = read(length, first, after)
        if not page.edges:
            break
        edge = page.edges[min(which, len(page.edges) - 1)]
        after, expected = edge.cursor, edge.node + 1
    assert rest(length, 4, after) == list(range(expected, length))


def test_whoever_always_resumes_in_the_middle_of_the_longest_pages_gets_to_the_end() -> None:
    after, seen = None, 0
    for _ in range(21):
        page = read(10_000, 1_000, after)
        assert page.edges[0].node == seen
        edge = page.edges[max(0, len(page.edges) - 2)]
        after, seen = edge.cursor, edge.node + 1
        if seen == 10_000:
            break
    assert seen == 10_000


def test_no_cursor_of_ours_asks_for_more_than_the_bound() -> None:
    page = read(10_000, 1_000, None)
    assert max(window(1_000, edge.cursor, longest=MAX_PAGE).limit for edge in page.edges) == MAX_PAGE


def test_after_the_last_item_of_a_page_as_long_as_can_be_there_is_nothing_more() -> None:
    end = read(MAX_PAGE, MAX_PAGE, None).page_info.end_cursor
    beyond = read(MAX_PAGE, MAX_PAGE, end)
    assert (beyond.edges, beyond.page_info.has_next_page) == ([], False)


def test_a_list_that_has_grown_goes_on_from_its_former_end() -> None:
    end = read(MAX_PAGE, MAX_PAGE, None).page_info.end_cursor
    grown = read(MAX_PAGE + 3, MAX_PAGE, end)
    assert (grown.edges, grown.page_info.has_next_page) == ([], True)
    assert [edge.node for edge in read(MAX_PAGE + 3, MAX_PAGE, grown.page_info.end_cursor).edges] == [1000, 1001, 1002]


def test_an_empty_list_has_no_cursors() -> None:
    info = read(0, 5, None).page_info
    assert (info.has_next_page, info.has_previous_page, info.start_cursor, info.end_cursor) == (
        False,
        False,
        None,
        None,
    )


@given(st.text(max_size=40))
def test_a_text_is_a_cursor_or_refused_and_never_anything_else(text: str) -> None:
    try:
        found = window(3, text, longest=MAX_PAGE)
    except BadUserInput as error:
        told = error.violations
    else:
        told = ()
        assert 0 <= found.cursor.skip <= MAX_PAGE
    assert [violation.path for violation in told] in ([], [("after",)])


@pytest.mark.parametrize("skip", [-1, MAX_PAGE + 1, 10**30])
def test_a_place_that_no_page_has_is_refused(skip: int) -> None:
    from base64 import urlsafe_b64encode

    forged = urlsafe_b64encode(f"[null,{skip}]".encode()).decode().rstrip("=")
    with pytest.raises(BadUserInput, match="after is not a cursor of this list"):
        window(1, forged, longest=MAX_PAGE)
