"""What the stack is good for: the real stack, in virtual time, over simulated instances. Every run has a seed and repeats exactly.

Rates and mixes stand in each function. Where a figure depends on luck, it is taken over several seeds.
"""

from __future__ import annotations

import statistics
from collections.abc import Generator
from random import Random

from benchmarks.figures import Figure, at_least, at_most
from benchmarks.resilience.simulated import Served, SimulatedService, Tally, load, lognormal, stack_over
from gateway.services import BreakerSettings, HedgeSettings, Priority
from gateway.services.policies import BulkheadSettings
from gateway.testing import run_virtual

SEEDS = (1, 2, 3)
NEVER_OPENS = BreakerSettings(consecutive=10**9, volume=10**9)


def figures() -> Generator[Figure]:
    yield from overload()
    yield from outage()
    yield from random_errors()
    yield from slow_instance()
    yield from failing_instance()
    yield from breaker_times()


# -- overload ----------------------------------------------------------------------------------------------------------

WORKERS, SERVICE_TIME, SECONDS = 32, 0.05, 30.0


def overload() -> Generator[Figure]:
    """32 workers of 50 ms (lognormal), nominally 640 calls/s. A call that takes more than its second is not served.

    Capacity is the highest load of which 99.9 % is served; the peak is the most that is served a second at any load.
    """
    nominal = WORKERS / SERVICE_TIME
    loads = [(factor * nominal, *_goodput(factor * nominal)) for factor in (0.8, 0.85, 0.9, 0.95, 1.0, 1.25)]
    capacity = max(rate for rate, _, _, everybody in loads if everybody >= 0.999)
    peak = max(goodput for _, goodput, _, _ in loads)
    runs = [_goodput(5 * capacity, critical=0.2, seed=seed) for seed in SEEDS]
    print(
        f"  capacity {capacity:.0f}/s, peak {peak:.0f}/s; at {5 * capacity:.0f}/s, 20 % critical, are served: "
        + ", ".join(f"{run[0]:.0f}/s" for run in runs)
    )
    yield at_least("goodput at 5 x capacity, of peak", 90, 100 * min(run[0] for run in runs) / peak, unit=" %")
    yield at_least("  critical calls served", 99.9, 100 * min(run[1] for run in runs), unit=" %")


def _goodput(rate: float, *, critical: float = 0.0, seed: int = 1) -> tuple[float, float, float]:
    """(served a second, share of critical calls served, share of all served)."""

    async def run() -> tuple[float, float, float]:
        random = Random(seed)
        latency = lognormal(random, median=SERVICE_TIME * 0.923)  # whose mean is SERVICE_TIME
        service = SimulatedService({"http://a": Served(latency, WORKERS)}, random)
        stack = stack_over(service, seed=seed, bulkhead=BulkheadSettings(limit=WORKERS))
        tallies = await load(stack, rate=rate, seconds=SECONDS, random=random, critical=critical)
        served = sum(tally.served for tally in tallies.values())
        sent = sum(tally.sent for tally in tallies.values())
        return served / SECONDS, tallies[Priority.CRITICAL].share, served / sent

    return run_virtual(run())


# -- a service that is fully down --------------------------------------------------------------------------------------


def outage() -> Generator[Figure]:
    """100 calls/s for 30 s at a service that refuses connections."""
    yield at_most("attempts per call, down, breaker off", 1.1, max(_down(NEVER_OPENS, seed) for seed in SEEDS))
    yield at_most("attempts per call, down, breaker on", 0.05, max(_down(BreakerSettings(), seed) for seed in SEEDS))


def _down(breaker: BreakerSettings, seed: int) -> float:
    async def run() -> float:
        random = Random(seed)
        service = SimulatedService({"http://a": Served(lambda: 0.01, is_down=True)}, random)
        stack = stack_over(service, seed=seed, breaker=breaker)
        tallies = await load(stack, rate=100, seconds=30, random=random)
        return service.attempts.total() / tallies[Priority.NORMAL].sent

    return run_virtual(run())


# -- five in a hundred fail --------------------------------------------------------------------------------------------


def random_errors() -> Generator[Figure]:
    """5 % of attempts answered 503, 100 calls/s for 300 s: three seeds, 90,000 calls."""
    runs = [_errors(seed) for seed in SEEDS]
    calls, served = sum(run[0].sent for run in runs), sum(run[0].served for run in runs)
    yield at_least("5 % random errors: success", 99.9, 100 * served / calls, unit=" %")
    yield at_most("  amplification", 1.06, sum(run[1] for run in runs) / calls)


def _errors(seed: int) -> tuple[Tally, int]:
    async def run() -> tuple[Tally, int]:
        random = Random(seed)
        service = SimulatedService({"http://a": Served(lognormal(random, median=0.02), error=0.05)}, random)
        tallies = await load(stack_over(service, seed=seed), rate=100, seconds=300, random=random)
        return tallies[Priority.NORMAL], service.attempts.total()

    return run_virtual(run())


# -- one of three instances is slow, or fails --------------------------------------------------------------------------


def slow_instance() -> Generator[Figure]:
    """Three instances, 20 ms (p99 about 50 ms), 200 calls/s for 120 s; the third ten times slower."""
    healthy = statistics.median(_p99(1.0, seed, hedges=False) for seed in SEEDS)
    slow = max(_p99(10.0, seed, hedges=False) for seed in SEEDS)
    hedged = max(_p99(10.0, seed, hedges=True) for seed in SEEDS)
    print(
        f"  p99 healthy {healthy * 1e3:.0f} ms, one of three slow {slow * 1e3:.0f} ms, with hedging {hedged * 1e3:.0f} ms"
    )
    yield at_most("p99, 1 of 3 ten times slow", 2, slow / healthy, unit=" x")
    yield at_most("  with hedging", 1.6, hedged / healthy, unit=" x")


def _p99(slower: float, seed: int, *, hedges: bool) -> float:
    async def run() -> float:
        random = Random(seed)
        service = SimulatedService(
            {
                "http://a": Served(lognormal(random, median=0.02)),
                "http://b": Served(lognormal(random, median=0.02)),
                "http://c": Served(lognormal(random, median=0.02 * slower)),
            },
            random,
        )
        stack = stack_over(service, seed=seed, hedge=HedgeSettings(enabled=hedges))
        return (await load(stack, rate=200, seconds=120, random=random))[Priority.NORMAL].quantile(0.99)

    return run_virtual(run())


def failing_instance() -> Generator[Figure]:
    """The third of three answers every attempt 503 at once; 200 calls/s for 120 s."""

    async def run(seed: int) -> Tally:
        random = Random(seed)
        service = SimulatedService(
            {
                "http://a": Served(lognormal(random, median=0.02)),
                "http://b": Served(lognormal(random, median=0.02)),
                "http://c": Served(lognormal(random, median=0.02), error=1.0),
            },
            random,
        )
        return (await load(stack_over(service, seed=seed), rate=200, seconds=120, random=random))[Priority.NORMAL]

    tallies = [run_virtual(run(seed)) for seed in SEEDS]
    errors = 100 * (1 - sum(tally.served for tally in tallies) / sum(tally.sent for tally in tallies))
    yield at_most("errors, 1 of 3 failing fast", 0.1, errors, unit=" %")


# -- how soon the breaker opens, and closes ----------------------------------------------------------------------------


def breaker_times() -> Generator[Figure]:
    """Ten good seconds, an outage of 60 s (connections refused), recovery. Calls arrive evenly, with deadlines of 1 s."""
    for rate, limit in ((100, 0.3), (20, 1.0), (2, 8.0)):
        times = [_breaker(rate, seed) for seed in SEEDS]
        yield at_most(f"breaker opens at {rate} calls/s", limit, max(opened for opened, _ in times), unit=" s")
        yield at_most(f"  closed again at {rate} calls/s", 12, max(closed for _, closed in times), unit=" s")


def _breaker(rate: float, seed: int) -> tuple[float, float]:
    """(seconds from the outage to the opening, from the recovery to a call after which all are let through)."""
    begins, ends = 10.0, 70.0

    async def run() -> tuple[float, float]:
        random = Random(seed)
        instance = Served(lognormal(random, median=0.02))
        service = SimulatedService({"http://a": instance}, random)
        stack = stack_over(service, seed=seed)
        found: dict[str, float] = {}

        def during(at: float) -> None:
            instance.is_down = begins <= at < ends
            if at >= begins and stack.breaker.is_open:
                found.setdefault("opened", at - begins)
            if at >= ends and "closed" not in found and stack.breaker.state == "closed":
                found["closed"] = at - ends

        await load(stack, rate=rate, seconds=120, random=random, is_poisson=False, during=during)
        return found["opened"], found["closed"]

    return run_virtual(run())
