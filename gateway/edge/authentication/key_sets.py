"""The keys of one issuer over time: fetched, kept, renewed.

Invariants: whoever has a token of a known key never waits; an unknown key causes at most one question in `cooldown`, which all who
wait share, and nobody waits longer than `PATIENCE`; what the issuer no longer lists is gone as soon as we have heard it; while it
is silent the last word is good for `stale`; nothing that a token says decides where keys are fetched. It starts without any key.
State: the keys, when they were fetched, a question under way. Per issuer and worker process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from ...clock import NEVER, Clock, Deadline, Instant, Seconds
from ...errors import AuthenticationUnavailable, GatewayError
from ...services import ServiceClient, ServiceRequest
from ...telemetry import Telemetry
from .issuer import Issuer, Place
from .keys import Key, Keys, KeysUnreadable, keys_of

FETCH_WITHIN = Seconds(10.0)
"""Seconds for one question, its retries included."""

PATIENCE = Seconds(2.0)
"""Seconds that a request waits for keys that it cannot do without."""

MAX_WAITING = 256
"""Requests that wait for keys of one issuer; more are answered at once. Nobody has admitted them yet."""

MAX_KEY_SET = 256 * 1024
"""Bytes: a hundred keys with their certificates."""

_NONE = Keys()


class Source(Protocol):
    """Where a JWKS comes from."""

    async def read(self) -> bytes:
        """Raises: GatewayError, OSError, KeysUnreadable."""
        ...

    async def start(self) -> None: ...
    async def close(self) -> None: ...


class FetchedKeys:
    """Over HTTP, through a stack of policies like any service: so with retries, a breaker, metrics and spans."""

    def __init__(self, client: ServiceClient, place: Place, *, clock: Clock) -> None:
        self._client = client
        self._place = place
        self._clock = clock

    async def read(self) -> bytes:
        request = ServiceRequest(
            service=self._client.name,
            path=self._place.path,
            query=self._place.query,
            endpoint="GET jwks",
            headers=(("Accept", "application/jwk-set+json, application/json"),),
            deadline=Deadline.after(FETCH_WITHIN, clock=self._clock),
        )
        answer = await self._client.call(request)
        if answer.status != 200:  # a redirect too: where it leads is nobody's we know
            raise KeysUnreadable(f"status {answer.status}")
        return answer.body

    async def start(self) -> None:
        await self._client.start()

    async def close(self) -> None:
        await self._client.close()


class FileOfKeys:
    """A file, read again as often as keys are renewed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> bytes:
        return await asyncio.to_thread(self._bytes)

    def _bytes(self) -> bytes:
        with self._path.open("rb") as file:
            body = file.read(MAX_KEY_SET + 1)
        if len(body) > MAX_KEY_SET:
            raise KeysUnreadable(f"more than {MAX_KEY_SET} bytes")
        return body

    async def start(self) -> None: ...
    async def close(self) -> None: ...


class KeySet:
    """Between `async with` and its end it renews itself; what is asked before or after is answered from what is there."""

    def __init__(
        self,
        issuer: Issuer,
        source: Source,
        *,
        clock: Clock,
        telemetry: Telemetry,
        random: Callable[[], float],
    ) -> None:
        self.issuer = issuer
        self._source = source
        self._clock = clock
        self._log = telemetry.log
        self._random = random
        self._keys = _NONE
        self._live: frozenset[Key] = frozenset()
        self._fetched_at: Instant | None = None
        self._asked_at: Instant | None = None
        self._has_failed = False
        self._waiting = 0
        self._asking: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "never fetched" if self._fetched_at is None else "silent" if self._has_failed else "fetched"
        return f"<KeySet {self.issuer.issuer} {len(self._keys.found)} keys, {state}>"

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key of that name; None if the issuer has none. Raises: AuthenticationUnavailable, where it has not been heard."""
        found = self._usable().named(kid, algorithm)
        if found is None and await self._asked_again():
            found = self._usable().named(kid, algorithm)
        if found is None and not self.is_heard:
            raise AuthenticationUnavailable("this token cannot be verified now: send the request again in a moment")
        return found

    def holds(self, key: Key) -> bool:
        """Whether what it has signed is still good."""
        return key in self._live and not self._is_stale()

    @property
    def is_heard(self) -> bool:
        """Whether the last question was answered: only then is a key that is not here one that does not exist."""
        return self._fetched_at is not None and not self._has_failed and self._asking is None and not self._is_stale()

    def _usable(self) -> Keys:
        return _NONE if self._is_stale() else self._keys

    def _is_stale(self) -> bool:
        return self._fetched_at is None or self._clock.now() - self._fetched_at > self.issuer.stale

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _asked_again(self) -> bool:
        """Whether the issuer has been asked meanwhile."""
        if (self._asking is None and not self._may_ask()) or self._waiting >= MAX_WAITING:
            return False
        self._waiting += 1
        try:
            await asyncio.wait({self._ask()}, timeout=PATIENCE)
        finally:
            self._waiting -= 1
        return True

    def _may_ask(self) -> bool:
        return self._asked_at is None or self._clock.now() - self._asked_at >= self.issuer.cooldown

    def _ask(self) -> asyncio.Task[None]:
        """The question under way, or a new one. It outlives whoever waits, and ends with this."""
        if self._asking is None:
            self._asked_at = self._clock.now()
            self._asking = asyncio.get_running_loop().create_task(self._asked())
        return self._asking

    async def _asked(self) -> None:
        try:
            keys = keys_of(await self._source.read(), algorithms=self.issuer.algorithms)
        except (GatewayError, KeysUnreadable, OSError) as error:
            self._failed(error)
        except Exception as error:  # the task's border: a bug must not leave tokens undecided for ever
            self._failed(error)
            self._log.error("keys could not be read", issuer=self.issuer.issuer, exc_info=error)
        else:
            self._replace(keys)
        finally:
            self._asking = None

    def _failed(self, error: Exception) -> None:
        if not self._has_failed:
            self._log.warning("no keys of an issuer", issuer=self.issuer.issuer, reason=_reason(error))
        self._has_failed = True

    def _replace(self, keys: Keys) -> None:
        before, self._keys = self._keys, keys.since(self._keys)
        self._live = frozenset(self._keys.found)
        self._fetched_at, self._has_failed = self._clock.now(), False
        if {each.material for each in before.found} != {each.material for each in keys.found} or not keys.found:
            self._log.info("keys of an issuer", issuer=self.issuer.issuer, keys=len(keys.found), left_out=keys.left_out)

    # -- renewing ------------------------------------------------------------------------------------------------------

    async def _renew(self) -> None:
        while True:
            await asyncio.wait({self._ask()})
            await asyncio.sleep(self._next_wait())

    def _next_wait(self) -> Seconds:
        """Jittered downwards, so that workers spread; sooner while the issuer is silent."""
        longest = self.issuer.cooldown if self._has_failed else self.issuer.refresh
        return Seconds(longest * (1 - 0.1 * self._random()) if longest > NEVER else longest)

    async def __aenter__(self) -> Self:
        await self._source.start()
        self._renewing = asyncio.get_running_loop().create_task(self._renew())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [each for each in (self._renewing, self._asking) if each is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._source.close()


def _reason(error: Exception) -> str:
    """For the log: ours say what is wrong without an address; of others the kind must do."""
    return str(error) if isinstance(error, GatewayError | KeysUnreadable) else type(error).__name__
