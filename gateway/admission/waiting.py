"""Who waits for a permit: a bounded queue, by rank, and within a rank by turns among clients.

Invariants: the highest rank goes first; within it each client that waits has its turn, whatever the others have sent; of one client
the oldest goes first. When there is no room, the lowest rank gives way, and in it the newest of the client that has most waiting:
so who sends too much drops its own. An entry is in the queue once, and leaves it once.
State: the entries; bounded by `room`. Pure: told the time.
Source: fair queueing with longest-queue drop (Suter and others, 1998); round robin as all entries cost one.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ..clock import Instant
from .rank import Rank

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Entry(Generic[T]):
    """One who waits. `expires`: when waiting is of no more use."""

    rank: Rank
    client: Hashable
    expires: Instant
    waiter: T
    is_waiting: bool = field(default=True, init=False)


_Turns = OrderedDict[Hashable, deque[Entry[T]]]


class WaitingRoom(Generic[T]):
    """Entries, and whose turn it is."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._count = 0
        self._ranks: dict[Rank, _Turns[T]] = {rank: OrderedDict() for rank in sorted(Rank, reverse=True)}

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"<WaitingRoom {self._count}/{self.room}>"

    def put(self, entry: Entry[T]) -> Entry[T] | None:
        """Let the entry wait. Returns who has no place for it: another one, the entry itself, or nobody."""
        dropped = None
        if self._count >= self.room:
            dropped = self._to_drop(entry)
            if dropped is entry:
                entry.is_waiting = False
                return entry
            self.remove(dropped)
        self._ranks[entry.rank].setdefault(entry.client, deque()).append(entry)
        self._count += 1
        return dropped

    def top(self) -> Rank | None:
        """The highest rank that waits; None if nobody does."""
        return next((rank for rank, turns in self._ranks.items() if turns), None)

    def take(self) -> Entry[T]:
        """Whose turn it is. Raises: LookupError, if nobody waits."""
        for turns in self._ranks.values():
            if turns:
                client, entries = next(iter(turns.items()))
                entry = entries.popleft()
                del turns[client]
                if entries:
                    turns[client] = entries  # behind those who have not had theirs
                self._left(entry)
                return entry
        raise LookupError("nobody waits")

    def expired(self, now: Instant) -> Iterator[Entry[T]]:
        """Those whose waiting is of no more use: they leave."""
        late = [
            entry
            for turns in self._ranks.values()
            for entries in turns.values()
            for entry in entries
            if entry.expires <= now
        ]
        for entry in late:
            self.remove(entry)
        return iter(late)

    def remove(self, entry: Entry[T]) -> None:
        """Somebody has gone, or gives way. Who does not wait any more is no mistake."""
        if not entry.is_waiting:
            return
        turns = self._ranks[entry.rank]
        entries = turns[entry.client]
        entries.remove(entry)
        if not entries:
            del turns[entry.client]
        self._left(entry)

    def _left(self, entry: Entry[T]) -> None:
        entry.is_waiting = False
        self._count -= 1

    def _to_drop(self, newcomer: Entry[T]) -> Entry[T]:
        lowest = min((rank for rank, turns in self._ranks.items() if turns), default=None)
        if lowest is None or newcomer.rank < lowest:
            return newcomer
        longest = max(self._ranks[lowest].values(), key=len)
        if newcomer.rank == lowest and len(self._ranks[lowest].get(newcomer.client, ())) >= len(longest):
            return newcomer
        return longest[-1]
