"""A scenario from a seed: a simulated service, its clients and its misfortunes, over the real stack in virtual time; with oracles.

What must hold is checked at every attempt that reaches the wire, at the end of every call, and when all is over. `Broken` names the
seed; `run(seed)` repeats it exactly.
"""

from __future__ import annotations

import asyncio
import dataclasses
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from msgspec.structs import replace

from gateway.clock import Deadline, Instant, Seconds
from gateway.errors import (
    GatewayError,
    ServiceBreakerOpen,
    ServiceBulkheadFull,
    ServiceContractBroken,
    ServiceUnavailable,
)
from gateway.services import (
    BalanceSettings,
    BreakerSettings,
    BudgetSettings,
    BulkheadSettings,
    FaultSettings,
    HealthSettings,
    HedgeSettings,
    Priority,
    Retry,
    ServiceClient,
    ServiceConfig,
    ServiceRequest,
    ServiceResponse,
)
from gateway.telemetry import Telemetry
from gateway.testing import VirtualClock, run_virtual

CLOCK = VirtualClock()
ADDRESSES = ("http://a", "http://b", "http://c", "http://d")
SECONDS = 20.0
RETRY_AFTER = ("1", "0", "999999999", "soon", "Thu, 01 Jan 99999999999 00:00:00 GMT", "Mon, 16 Jun 2025 00:00:00 GMT")


class Broken(AssertionError):
    """An oracle was contradicted; says in which seed, and how to see it again."""

    def __init__(self, seed: int, what: str) -> None:
        super().__init__(f"seed {seed}: {what} (again: python -m scripts.soak --seed {seed})")


@dataclass
class Seen:
    """What a scenario has exercised: a simulation in which nothing happens proves nothing."""

    counts: Counter[str] = field(default_factory=Counter[str])


def run(seed: int) -> Seen:
    """One scenario. Raises: Broken."""
    return run_virtual(_Scenario(seed).run())


class _Service:
    """The wire: instances that are slow, pause, refuse, break, hang, answer 503 or what cannot be used, and whose health checks say
    one thing or the other, by turns. It notes and checks every attempt."""

    def __init__(self, scenario: _Scenario) -> None:
        self.scenario = scenario
        self.random = Random(scenario.seed + 1)
        self.is_healed = False
        self.under_way: Counter[int] = Counter()
        self.extra_at: list[float] = []
        self.moods = {address: self._mood() for address in ADDRESSES}
        self.paused_until = dict.fromkeys(ADDRESSES, 0.0)

    def _mood(self) -> dict[str, float]:
        kind = self.random.choice(["well", "well", "well", "slow", "flaky", "down", "hangs", "overloaded", "sick"])
        return {
            "latency": self.random.choice([0.002, 0.02, 0.1]) * (10 if kind == "slow" else 1),
            "error": {"flaky": 0.3, "overloaded": 0.8}.get(kind, 0.02),
            "refuse": 1.0 if kind == "down" else 0.01,
            "hang": {"hangs": 0.7}.get(kind, 0.005),
            "late": 0.02,
            "unusable": {"flaky": 0.2}.get(kind, 0.002),
            "sick": 0.5 if kind == "sick" else 0.02,
        }

    def change(self) -> None:
        address = self.random.choice(ADDRESSES)
        self.moods[address] = self._mood()
        if (
            self.random.random() < 0.3
        ):  # as a process that is stopped: what came meanwhile is answered afterwards, all at once
            self.paused_until[address] = CLOCK.now() + self.random.choice([0.2, 1.0, 5.0])
            self.scenario.seen.counts["paused"] += 1

    async def send(self, request: ServiceRequest, *, timeout: Seconds) -> ServiceResponse:  # noqa: ASYNC109  (the protocol's)
        if request.path == "/health":
            is_sick = not self.is_healed and self.random.random() < self.moods[request.instance or ADDRESSES[0]]["sick"]
            return ServiceResponse(503, {}, b"") if is_sick else await self._answer(request)
        self._check(request)
        call = id(request.tried)  # one list a call, shared by its attempts
        self.under_way[call] += 1
        try:
            return await self._answer(request)
        finally:
            self.under_way[call] -= 1

    def _check(self, request: ServiceRequest) -> None:
        now, call = CLOCK.now(), _name(request)
        self.scenario.expect(now < request.deadline.at, f"{call} was sent after its deadline")
        self.scenario.expect(
            request.instance in self.scenario.known, f"{call} went to {request.instance}, which nobody named"
        )
        attempts = len(request.tried)
        is_extra = attempts > 1
        if is_extra:
            self.extra_at.append(now)
        if not request.is_retryable or not request.may_retry:
            self.scenario.expect(
                not is_extra or (request.is_safe and request.may_hedge), f"{call} may not be repeated, and was"
            )
        if not request.is_safe:
            self.scenario.expect(
                self.under_way[id(request.tried)] == 0, f"{call} is a write, and was under way twice at once"
            )
        permits = self.scenario.client.in_flight
        self.scenario.expect(permits <= self.scenario.most_permits, f"{permits} permits are held")
        self.scenario.expect(attempts <= 4, f"{call} was sent {attempts} times")

    async def _answer(self, request: ServiceRequest) -> ServiceResponse:
        address, draw = request.instance or ADDRESSES[0], self.random.random
        mood = self.moods[address]
        if not self.is_healed:
            if (pause := self.paused_until[address] - CLOCK.now()) > 0:
                await asyncio.sleep(pause)
            if draw() < mood["refuse"]:
                raise ServiceUnavailable("refused", service="s", applied=False)
            if draw() < mood["hang"]:
                await asyncio.sleep(1_000)
            if draw() < mood["error"]:
                await asyncio.sleep(0.001)
                wait = {"retry-after": self.random.choice(RETRY_AFTER)} if draw() < 0.3 else {}
                return ServiceResponse(self.random.choice([503, 500, 429]), wait, b"")
        await asyncio.sleep(mood["latency"] * self.random.lognormvariate(0, 0.5) if not self.is_healed else 0.005)
        if not self.is_healed and draw() < mood["late"]:
            raise ServiceUnavailable("broke off", service="s", applied=None)
        if not self.is_healed and draw() < mood["unusable"]:
            raise ServiceContractBroken("too long", service="s", applied=True)
        return ServiceResponse(200, {}, repr((request.share, request.headers, request.path, request.query)).encode())

    def configure(self, config: ServiceConfig) -> None: ...
    async def start(self) -> None: ...
    async def close(self) -> None: ...


def _name(request: ServiceRequest) -> str:
    return next((value for name, value in request.headers if name == "x-call"), f"{request.method} {request.path}")


class _Scenario:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.seen = Seen()
        self.known: set[str | None] = set()
        self.most_permits = 0
        self.config = self._config()
        self.service = _Service(self)
        self.client = ServiceClient(
            "s", self.config, telemetry=Telemetry(), clock=CLOCK, random=Random(seed + 2), wire=self.service
        )
        self.calls = 0
        self.entered: list[float] = []
        """When each call was made."""

    def expect(self, holds: bool, what: str) -> None:
        if not holds:
            raise Broken(self.seed, f"{what}, at {CLOCK.now():.3f} s")

    # -- the scenario --------------------------------------------------------------------------------------------------

    async def run(self) -> Seen:
        await self.client.start()
        rate, tasks = self.random.choice([5.0, 30.0, 100.0]), list[asyncio.Task[None]]()
        while CLOCK.now() < SECONDS:
            await asyncio.sleep(self.random.expovariate(rate))
            tasks.append(asyncio.create_task(self._call()))
            if self.random.random() < 0.1:
                asyncio.get_running_loop().call_later(self.random.choice([0.0, 0.01, 0.3]), tasks[-1].cancel)
                self.seen.counts["cancelled"] += 1
            if self.random.random() < 0.01:
                self.service.change()
            if self.random.random() < 0.003:
                self.client.configure(self._config())
                self.seen.counts["reconfigured"] += 1
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        self._nothing_is_left()
        self._budget_was_kept()
        await self._it_heals()
        await self.client.close()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        self.expect(left == [], f"tasks are left: {left}")
        return self.seen

    async def _call(self) -> None:
        request = self._request()
        try:
            response = await self.client.call(request)
        except (ServiceBreakerOpen, ServiceBulkheadFull) as error:
            self.seen.counts[type(error).__name__] += 1
        except GatewayError as error:
            self.seen.counts[error.code] += 1
        except Broken:
            raise
        except Exception as error:
            raise Broken(self.seed, f"{type(error).__name__} escaped: {error}") from error
        else:
            self.seen.counts["answered"] += 1
            self._answer_is_its_own(request, response)
        self.expect(CLOCK.now() <= request.deadline.at + 1e-6, f"{_name(request)} ended after its deadline")

    def _answer_is_its_own(self, request: ServiceRequest, response: ServiceResponse) -> None:
        if response.body == b"\0garbage" or not response.is_success:
            return
        own = [each for each in request.headers if each[0] != "x-call"]
        share, headers, path, query = eval(response.body.decode(), {})
        got = [each for each in headers if each[0] != "x-call"]
        self.expect(
            (share, got, path, query) == (request.share, own, request.path, request.query),
            f"an answer made for {share} {got} {path} {query} was given to {request.share} {own} {request.path}",
        )

    # -- the oracles at the end ----------------------------------------------------------------------------------------

    def _nothing_is_left(self) -> None:
        stack = self.client.stack
        self.expect(stack.bulkhead.in_flight == 0, f"permits are left: {stack.bulkhead!r}")
        self.expect(stack.bulkhead.waiting == 0, f"somebody waits: {stack.bulkhead!r}")
        self.expect(
            stack.instances.in_flight == 0,
            f"instances have attempts under way: {stack.instances.snapshot(CLOCK.now())}",
        )
        self.expect(len(stack.flights) == 0, f"reads are coalesced for ever: {stack.flights!r}")
        self.expect(self.service.under_way.total() == 0, "attempts are under way at the service")

    def _budget_was_kept(self) -> None:
        """Ten seconds of counted tenths are between nine and ten, and a call counts when it enters, before it is sent."""
        for number, at in enumerate(self.service.extra_at):
            extra = number + 1 - bisect_left(self.service.extra_at, at - 9.0)
            calls = bisect_left(self.entered, at + 1e-9) - bisect_left(self.entered, at - 11.0)
            self.expect(extra <= 0.25 * calls + 5 * 10 + 1, f"{extra} extra attempts for {calls} calls")
        self.seen.counts["extra"] += len(self.service.extra_at)

    async def _it_heals(self) -> None:
        """All is well again, and after two minutes nothing stands in the way any more."""
        self.service.is_healed = True
        self.client.configure(dataclasses.replace(self.client.config, faults=FaultSettings()))
        await asyncio.sleep(150)
        for _ in range(20):
            response = await self.client.call(replace(_READ, deadline=Deadline.after(5.0, clock=CLOCK)))
            self.expect(response.status == 200, "it does not heal")
            await asyncio.sleep(0.2)

    # -- what is drawn -------------------------------------------------------------------------------------------------

    def _request(self) -> ServiceRequest:
        self.entered.append(CLOCK.now())
        choose, self.calls = self.random.choice, self.calls + 1
        common: dict[str, Any] = {
            "service": "s",
            "path": choose(["/x", "/y"]),
            "priority": choose([*Priority]),
            "deadline": Deadline(Instant(CLOCK.now() + choose([0.001, 0.05, 0.5, 3.0, 10.0]))),
            "may_retry": self.random.random() < 0.9,
            "may_hedge": self.random.random() < 0.9,
            "is_personal": self.random.random() < 0.3,
        }
        kind = choose(["read", "read", "shared", "write", "keyed"])
        call = (("x-call", f"{kind}-{self.calls}"),)
        match kind:
            case "read":
                return ServiceRequest(endpoint=f"GET {common['path']}", headers=call, **common)
            case "shared":
                share, who = choose(["ann", "ben"]), (("x-who", choose(["1", "2"])),)
                return ServiceRequest(  # without a name of its own: those who share it are one call
                    endpoint="GET shared", share=share, headers=who, query=(("n", str(self.calls // 4)),), **common
                )
            case "keyed":
                return ServiceRequest(
                    method="POST",
                    endpoint="POST k",
                    body=b"{}",
                    headers=call,
                    idempotency_key=f"k{self.calls}",
                    **common,
                )
            case _:
                return ServiceRequest(method="POST", endpoint="POST w", body=b"{}", headers=call, **common)

    def _config(self) -> ServiceConfig:
        choose = self.random.choice
        count = choose([1, 2, 3])
        limit = choose([2, 8, 64])
        self.most_permits = max(self.most_permits, limit)
        config = ServiceConfig(
            instances=ADDRESSES[:count],
            fallback=choose([(), (), ADDRESSES[3:]]),
            coalesce=choose([True, True, False]),
            retry=Retry(attempts=choose([1, 3, 3]), longest_retry_after=Seconds(choose([0.0, 5.0]))),
            budget=BudgetSettings(ratio=choose([0.0, 0.09, 0.2]), reserve=choose([0.0, 0.1, 5.0])),
            hedge=HedgeSettings(
                enabled=choose([True, False]),
                share=choose([0.05, 0.5]),
                quantile=choose([0.5, 0.95]),
                least=Seconds(choose([0.0, 0.005])),
            ),
            breaker=BreakerSettings(
                consecutive=choose([3, 10]),
                per=choose(["service", "endpoint"]),
                ramp=choose([0, 8, 64]),
                volume=choose([5, 20]),
                window=Seconds(choose([1.0, 10.0])),
                open_for=Seconds(choose([0.1, 1.0])),
                probes=choose([1, 3]),
                successes=choose([1, 3]),
            ),
            bulkhead=BulkheadSettings(
                limit=limit,
                queue=choose([None, 0, 3]),
                wait=Seconds(choose([0.0, 0.1])),
                adaptive=choose([True, False]),
                least=2,
            ),
            balance=BalanceSettings(
                memory=Seconds(choose([0.5, 10.0])),
                eject_after=choose([1, 2, 5]),
                eject_for=Seconds(choose([0.5, 5.0])),
                max_ejected=choose([0.0, 0.5, 1.0]),
                panic=choose([0.0, 0.5]),
                slow_start=Seconds(choose([0.0, 10.0])),
            ),
            health=HealthSettings(
                path=choose(["", "/health"]),
                interval=Seconds(choose([0.5, 2.0])),
                timeout=Seconds(choose([0.1, 1.0])),
                unhealthy_after=choose([1, 2]),
                healthy_after=choose([1, 2]),
            ),
            faults=choose(
                [FaultSettings(), FaultSettings(error=0.1, hang=0.02, garbage=0.05, lost=0.05, trickle=0.02)]
            ),
            attempt_timeout=choose([Seconds(0.3), Seconds(2.0)]),
            attempt_timeout_floor=choose([Seconds(0.01), Seconds(0.25)]),
        )
        self.known |= {*config.instances, *config.fallback}
        return config


_READ = ServiceRequest(service="s", path="/x", endpoint="GET /healed")
