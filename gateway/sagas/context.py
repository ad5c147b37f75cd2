"""What a step may do: send a command, read through a loader, know its keys; and the two protocols behind it.

Invariant: whatever a step sends carries the step's idempotency key, the same on every attempt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from ..clock import Deadline, Seconds
from ..errors import ServiceRefused
from .known import Owner, Reject

V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)


class CommandLike(Protocol[V_co]):
    """A declared write, as `services.Command` is."""

    @property
    def service(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def into(self) -> type[V_co]: ...
    @property
    def rejects(self) -> Mapping[str, str]: ...
    @property
    def attempt_timeout(self) -> Seconds | None: ...


class LoaderLike(Protocol[V_co]):
    """A declared loader. `yields` is for type checkers: it says what a key has, and nobody calls it."""

    @property
    def name(self) -> str: ...
    def yields(self) -> V_co: ...


class Sender(Protocol):
    """Sends commands to services, through their policies."""

    async def send(
        self,
        command: CommandLike[V],
        body: object,
        *,
        owner: Owner,
        idempotency_key: str,
        deadline: Deadline,
        attempt_timeout: Seconds | None,
    ) -> V:
        """On behalf of the saga's owner. Raises: ServiceError; `applied` says what the saga must assume."""
        ...


class Reader(Protocol):
    """Reads through loaders, on behalf of the saga's owner."""

    async def load(
        self, loader: LoaderLike[V], key: str, *, arguments: Mapping[str, object], owner: Owner, deadline: Deadline
    ) -> V | None: ...

    async def load_many(
        self, loader: LoaderLike[V], keys: Sequence[str], *, owner: Owner, deadline: Deadline
    ) -> list[V | None]:
        """Values in the order of `keys`, None where there is none; the first failure is raised."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCtx:
    """One attempt's view of the world."""

    identity: Owner
    saga_id: str
    attempt: int
    """1-based."""
    key: str
    """`{saga}:{step}`, or `{saga}:{step}:undo`: the idempotency key of what this attempt sends."""
    forward_key: str
    """`{saga}:{step}`: what an undo names, so that the service refuses a forward request that arrives later."""
    deadline: Deadline
    """When this attempt is given up as unknown."""
    sender: Sender = field(repr=False)
    reader: Reader = field(repr=False)
    sent: set[tuple[str, str, str]] = field(default_factory=set[tuple[str, str, str]], repr=False)
    """Commands sent by this attempt; one key must not carry two."""

    async def send(self, command: CommandLike[V], body: object) -> V:
        """Send `command` under this step's idempotency key; a command goes out once an attempt.

        Raises: Reject when the service refused with a reason that the command declares; ServiceError otherwise.
        """
        self._note(command)
        try:
            return await self.sender.send(
                command,
                body,
                owner=self.identity,
                idempotency_key=self.key,
                deadline=self.deadline,
                attempt_timeout=command.attempt_timeout,
            )
        except ServiceRefused as refused:
            if refused.reason is None or refused.reason not in command.rejects:
                raise
            raise Reject(refused.reason, command.rejects[refused.reason]) from refused

    async def load(self, loader: LoaderLike[V], key: str, **arguments: object) -> V | None:
        """What `key` has; None where the service says that there is none."""
        return await self.reader.load(loader, key, arguments=arguments, owner=self.identity, deadline=self.deadline)

    async def load_many(self, loader: LoaderLike[V], keys: Sequence[str]) -> list[V | None]:
        """What each of `keys` has, in their order."""
        return await self.reader.load_many(loader, keys, owner=self.identity, deadline=self.deadline)

    def _note(self, command: CommandLike[object]) -> None:
        what = (command.service, command.method, command.path)
        if what in self.sent:
            raise RuntimeError(
                f"{self.key} sends {command.method} {command.path} to {command.service} twice in one attempt: both "
                "would carry one idempotency key, so the second would get the first's answer; use two steps"
            )
        self.sent.add(what)
