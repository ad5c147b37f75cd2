"""What sagas are given of the floors beside them: a way to send, a way to read, somebody to tell.

Sagas name these as protocols and import none of it. Invariant: a step's request is sent once an attempt; whoever repeats is the
saga, whose attempts are journalled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

from .clock import Deadline, Seconds
from .identity import ANONYMOUS, Identity
from .loading import Loader, Loaders, Loads, Reading
from .sagas import CommandLike, LoaderLike, Owner
from .services import Command, Priority, Services, Sharing, send, told

V = TypeVar("V")


class ServiceSender:
    """Sends the commands of steps through the services' stacks."""

    def __init__(self, services: Services) -> None:
        self._services = services

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
        client = self._services[command.service]
        return await send(
            cast("Command[V]", command),
            body,
            client=client,
            headers=told(_caller(owner), client.config.identity_headers, Sharing.IDENTITY),
            idempotency_key=idempotency_key,
            deadline=deadline,
            may_retry=False,  # the saga's own retries are the journalled ones
            priority=Priority.CRITICAL,  # somebody was promised that it finishes or undoes itself
        )


class CacheInvalidation:
    """After a step has changed what loaders read, trust no older answer: clients read their own writes."""

    def __init__(self, loaders: Loaders) -> None:
        self._loaders = loaders

    def invalidated(self, what: Sequence[object], *, owner: Owner) -> None:
        for declared in what:
            self._loaders.invalidate(declared)


class LoaderReader:
    """Reads for steps through the graph's loaders: always from the service, never from a cache."""

    def __init__(self, loaders: Loaders) -> None:
        self._loaders = loaders

    async def load(
        self, loader: LoaderLike[V], key: str, *, arguments: Mapping[str, object], owner: Owner, deadline: Deadline
    ) -> V | None:
        loads = self._loads(owner, deadline)
        try:
            return await loads.load(cast("Loader[V]", loader), key, arguments)
        finally:
            await loads.close()

    async def load_many(
        self, loader: LoaderLike[V], keys: Sequence[str], *, owner: Owner, deadline: Deadline
    ) -> list[V | None]:
        loads = self._loads(owner, deadline)
        try:
            return await loads.load_many(cast("Loader[V]", loader), keys)
        finally:
            await loads.close()

    def _loads(self, owner: Owner, deadline: Deadline) -> Loads:
        reading = Reading(
            identity=_caller(owner),
            deadline=deadline,
            skip_fresh=True,
            may_retry=False,
            priority=Priority.CRITICAL,
        )
        return Loads(self._loaders, reading)


def _caller(owner: Owner) -> Identity:
    """Who a saga is for, as far as the journal knows: tenant and subject, before a restart and after it. What the owner might do
    besides, when the saga began, is not kept: scopes may have been taken back since.
    """
    is_anonymous = (owner.tenant, owner.subject) == (ANONYMOUS.tenant, ANONYMOUS.subject)
    return ANONYMOUS if is_anonymous else Identity(owner.tenant, owner.subject)
