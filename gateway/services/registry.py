"""The services of one application, by name.

Invariant: the set is fixed when built; an unknown name is a mistake in the graph or in gateway.toml, and its error
says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from difflib import get_close_matches
from random import Random
from types import MappingProxyType, TracebackType
from typing import Self

from ..clock import Clock
from ..telemetry import Telemetry
from .config import ServiceConfig
from .headers import names_in
from .service import ServiceClient
from .wire import Wire

_OWN_WIRES: Mapping[str, Wire] = MappingProxyType({})


class UnknownService(KeyError):
    """A LookupError that reads as a sentence; a KeyError so that `in` and `get` work."""

    def __str__(self) -> str:
        return str(self.args[0])


class Services(Mapping[str, ServiceClient]):
    """Every declared service, started and closed together."""

    def __init__(
        self,
        configs: Mapping[str, ServiceConfig],
        *,
        telemetry: Telemetry,
        clock: Clock,
        random: Random,
        wires: Mapping[str, Wire] = _OWN_WIRES,
    ) -> None:
        """`wires` replaces the real wire of the services that it names: for tests."""
        self._clients = {
            name: ServiceClient(name, config, telemetry=telemetry, clock=clock, random=random, wire=wires.get(name))
            for name, config in configs.items()
        }
        self._forwards = self._any_forwards()
        self._telling = self._any_telling()

    def __getitem__(self, name: str) -> ServiceClient:
        client = self._clients.get(name)
        if client is None:
            raise UnknownService(_unknown(name, self._clients))
        return client

    def __iter__(self) -> Iterator[str]:
        return iter(self._clients)

    def __len__(self) -> int:
        return len(self._clients)

    def __repr__(self) -> str:
        return f"<Services {', '.join(self._clients) or 'none'}>"

    def configure(self, configs: Mapping[str, ServiceConfig]) -> list[str]:
        """Other settings and instances from now on, without dropping a call. Returns what changed, as sentences.

        The set of services stays: one that is new or gone changes the graph, and needs a restart.
        """
        changed = [
            sentence
            for name, client in self._clients.items()
            if name in configs
            for sentence in client.configure(configs[name])
        ]
        self._forwards = self._any_forwards()
        self._telling = self._any_telling()
        changed += [f"{name}: new here; it is called after a restart" for name in configs if name not in self._clients]
        changed += [
            f"{name}: gone; it is called as before until a restart" for name in self._clients if name not in configs
        ]
        return changed

    def forwards(self, name: str) -> bool:
        """Whether the client's header of that name, in lower case, goes to any service. None goes that tells a service who is
        calling: what one of them trusts, a client does not write."""
        return self._forwards(name) and name not in self._telling

    def _any_forwards(self) -> Callable[[str], bool]:
        return names_in(
            tuple(sorted({each for client in self._clients.values() for each in client.config.send_headers}))
        )

    def _any_telling(self) -> frozenset[str]:
        return frozenset(each.name for client in self._clients.values() for each in client.config.identity_headers)

    async def start(self) -> None:
        """Make all ready; if one fails, those already started are closed again."""
        async with AsyncExitStack() as undo:
            for client in self._clients.values():
                await client.start()
                undo.push_async_callback(client.close)
            undo.pop_all()

    async def close(self) -> None:
        """Close all, even if one fails to."""
        async with AsyncExitStack() as all_of_them:
            for client in self._clients.values():
                all_of_them.push_async_callback(client.close)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _unknown(name: str, known: Mapping[str, ServiceClient]) -> str:
    nearest = get_close_matches(name, known, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    declared = ", ".join(sorted(known)) or "none"
    return (
        f"there is no service {name!r}: {hint}declared are {declared}; "
        f"declare it in gateway.toml as [services.{name}] with its url"
    )
