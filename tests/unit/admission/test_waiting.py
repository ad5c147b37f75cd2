"""The queue for permits: by rank, by turns among clients, bounded, and nobody is lost in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.rank import Rank
from gateway.admission.waiting import Entry, WaitingRoom
from gateway.clock import Instant

LATE = Instant(1e9)
CLIENTS = st.sampled_from("abc")


def entry(client: str = "a", rank: Rank = Rank.QUERY, *, expires: float = LATE, name: str = "") -> Entry[str]:
    return Entry(rank, client, Instant(expires), name or client)


def drained(room: WaitingRoom[str]) -> list[str]:
    return [room.take().waiter for _ in range(len(room))]


def test_a_higher_rank_goes_first_whenever_it_came() -> None:
    room: WaitingRoom[str] = WaitingRoom(10)
    for rank in (Rank.QUERY, Rank.BACKGROUND, Rank.CRITICAL, Rank.MUTATION):
        room.put(entry(rank=rank, name=rank.word))
    assert room.top() is Rank.CRITICAL
    assert drained(room) == ["critical", "mutation", "query", "background"]
    assert room.top() is None


def test_clients_of_one_rank_take_turns_and_each_keeps_its_order() -> None:
    room: WaitingRoom[str] = WaitingRoom(10)
    for name in ("a1", "a2", "a3", "b1", "c1", "c2"):
        room.put(entry(name[0], name=name))
    assert drained(room) == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_a_newcomer_takes_the_place_of_the_newest_of_who_has_most_waiting() -> None:
    room: WaitingRoom[str] = WaitingRoom(4)
    for name in ("a1", "a2", "a3", "b1"):
        room.put(entry(name[0], name=name))
    dropped = room.put(entry("c", name="c1"))
    assert dropped is not None
    assert (dropped.waiter, dropped.is_waiting) == ("a3", False)
    assert drained(room) == ["a1", "b1", "c1", "a2"]


def test_who_has_most_waiting_has_no_place_for_more() -> None:
    room: WaitingRoom[str] = WaitingRoom(3)
    for name in ("a1", "a2", "b1"):
        room.put(entry(name[0], name=name))
    more = entry("a", name="a3")
    assert room.put(more) is more
    assert len(room) == 3


def test_a_full_room_makes_place_for_a_higher_rank_and_none_for_a_lower() -> None:
    room: WaitingRoom[str] = WaitingRoom(1)
    query = entry(rank=Rank.QUERY)
    room.put(query)
    low = entry(rank=Rank.BACKGROUND)
    assert room.put(low) is low
    assert room.put(entry(rank=Rank.MUTATION, name="mutation")) is query
    assert drained(room) == ["mutation"]


def test_those_whose_time_is_over_leave() -> None:
    room: WaitingRoom[str] = WaitingRoom(5)
    for name, expires in (("a1", 1.0), ("a2", 3.0), ("b1", 2.0)):
        room.put(entry(name[0], expires=expires, name=name))
    assert [each.waiter for each in room.expired(Instant(2.0))] == ["a1", "b1"]
    assert drained(room) == ["a2"]


@given(
    st.integers(0, 5),
    st.lists(
        st.tuples(
            st.sampled_from(["put", "take", "remove", "expire"]), CLIENTS, st.sampled_from(Rank), st.integers(0, 9)
        )
    ),
)
def test_whoever_is_put_in_leaves_once_and_the_room_is_never_overfull(
    size: int, steps: list[tuple[str, str, Rank, int]]
) -> None:
    room: WaitingRoom[str] = WaitingRoom(size)
    put, left = list[Entry[str]](), list[Entry[str]]()
    for what, client, rank, number in steps:
        waiting = [each for each in put if each.is_waiting]
        match what:
            case "put":
                new = entry(client, rank, expires=number)
                put.append(new)
                dropped = room.put(new)
                left += [] if dropped is None else [dropped]
            case "take" if waiting:
                highest = max(each.rank for each in waiting)
                taken = room.take()
                assert taken.rank == highest
                left.append(taken)
            case "remove" if waiting:
                room.remove(waiting[number % len(waiting)])
                left.append(waiting[number % len(waiting)])
            case _:
                left += room.expired(Instant(number))
        assert len(room) == sum(each.is_waiting for each in put) <= size
    assert len(left) == len(set(map(id, left))) == len(put) - len(room)


@given(st.lists(CLIENTS, min_size=1, max_size=60))
def test_while_a_client_waits_no_other_is_served_twice(arrivals: list[str]) -> None:
    room: WaitingRoom[str] = WaitingRoom(100)
    for client in arrivals:
        room.put(entry(client))
    left, served = {client: arrivals.count(client) for client in set(arrivals)}, list[str]()
    for client in drained(room):
        served.append(client)
        left[client] -= 1
        most = {each: served.count(each) for each in left if left[each] > 0}
        assert max(most.values(), default=0) - min(most.values(), default=0) <= 1
