"""`serve --workers N`: one process that answers nothing itself, and keeps those alive that do.

Invariants: the port is held here from before anything slow until all is over, and every worker accepts from the same queue, so a
worker that dies loses what it had accepted and no connection that waits. Children are new programs, never forks of this one. What
dies is started again, after a wait that grows; a first start that cannot succeed ends everything, in the child's own words.
Children leave in order: workers first, which announce it while there is a delay, and the saga process last. None outlives this
process: their standard input ends with it.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random, SystemRandom

from .clock import Seconds
from .departure import Departure, Stage
from .framing import Frames
from .siblings import ANSWER_WITHIN, Expose, Exposition, Failing, Gather, Gathered, Ready, Unneeded, encode, from_child
from .telemetry import Log

FIRST_WAIT, LONGEST_WAIT = Seconds(0.1), Seconds(10.0)
STEADY = Seconds(30.0)
"""A child that has lived so long had started well: its death is the first one again."""
DEATHS_AT_START = 3
"""A child that is killed so often before it was ever ready is in a loop."""
GRACE = Seconds(5.0)
"""How much longer than its own drain a child may take to leave, before it is killed."""


class ChildFailed(Exception):
    """A child cannot start. `problems` are its own sentences, `exit_code` what it ended with."""

    def __init__(self, problems: Sequence[str], *, exit_code: int) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one child is. `arguments` follow `python -m gateway`; `drain` is what it may take to leave."""

    name: str
    arguments: Sequence[str]
    drain: Seconds
    runs_sagas: bool = False
    """It leaves last, and does not accept: while it held the port, connections would wait that nobody takes any more."""


@dataclass(slots=True)
class Restarts:
    """How long to wait before a child is started again: decided, not slept."""

    deaths: int = 0

    def next_wait(self, *, lived: Seconds, random: Random) -> Seconds:
        """Doubles with each early death from FIRST_WAIT up to LONGEST_WAIT; jittered downwards, so that children spread."""
        self.deaths = 1 if lived >= STEADY else self.deaths + 1
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(self.deaths - 1, 20))
        return Seconds(random.uniform(wait / 2, wait))


@dataclass(eq=False)
class _Child:
    """One part, and the process that plays it now."""

    part: Part
    process: Process | None = None
    frames: Frames | None = None
    is_ready: bool = False
    is_unneeded: bool = False
    is_told: bool = False
    """Whether it was told to leave: then it is not started again."""
    failing: Failing | None = None
    restarts: Restarts = field(default_factory=Restarts)

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.returncode is None

    def tell(self, number: signal.Signals) -> None:
        """Have it leave: SIGINT is to drain at once. One that begins just now dies of SIGTERM without a word; of SIGINT it would
        not, and whoever was told before takes any signal for an end of the wait."""
        self.signal(number if self.is_ready and not self.is_told else signal.SIGTERM)
        self.is_told = True

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.is_alive:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)


class Supervisor:
    """Runs `parts` until a signal comes. State: one child a part, questions for metrics under way."""

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        held: socket.socket,
        log: Log,
        url: str,
        admin: socket.socket | None = None,
        drain_delay: Seconds = Seconds(0.0),
    ) -> None:
        """`held`: the clients' port; `admin`: the admins', if there is one. Workers accept from both. `drain_delay`: seconds that
        workers wait, by themselves, between a SIGTERM and their drain."""
        self._children = [_Child(part) for part in parts]
        self._held = {"listening": held} if admin is None else {"listening": held, "admin-listening": admin}
        self._log = log
        self._url = url
        self._random = SystemRandom()
        self._departure = Departure(drain_delay)
        self._asked_to_leave = asyncio.Event()
        self._is_leaving = False
        self._has_been_up = False
        self._gathering: set[asyncio.Task[None]] = set()
        self._exposing: dict[int, asyncio.Future[str]] = {}
        self._last = 0

    def __repr__(self) -> str:
        alive = [child.part.name for child in self._children if child.is_alive]
        return f"<Supervisor {len(alive)}/{len(self._children)} alive: {', '.join(alive) or 'none'}>"

    async def run(self) -> None:
        """Raises: ChildFailed, when the first start cannot succeed."""
        self._listen_to_signals()
        keepers = {asyncio.create_task(self._keep(child)) for child in self._children}
        leaving = asyncio.create_task(self._asked_to_leave.wait())
        try:
            while not leaving.done():
                done, _ = await asyncio.wait({*keepers, leaving}, return_when=asyncio.FIRST_COMPLETED)
                for keeper in keepers & done:
                    keepers.discard(keeper)
                    keeper.result()
        finally:
            leaving.cancel()
            await self._leave()
            for task in (*keepers, *self._gathering):
                task.cancel()
            await asyncio.gather(*keepers, *self._gathering, return_exceptions=True)

    # -- keeping children alive ----------------------------------------------------------------------------------------

    async def _keep(self, child: _Child) -> None:
        """Start it, and start it again whenever it ends, until it is unneeded or all leave."""
        clock = asyncio.get_running_loop().time
        while not (self._is_leaving or child.is_told):
            began = clock()
            exit_code = await self._live(child)
            if self._is_leaving or child.is_unneeded or child.is_told:
                return
            if not self._has_been_up:
                self._require_hope(child, exit_code)
            wait = child.restarts.next_wait(lived=Seconds(clock() - began), random=self._random)
            self._tell_death(child, exit_code, wait=wait)
            await asyncio.sleep(wait)

    async def _live(self, child: _Child) -> int:
        """One life of it, from its birth to its exit code."""
        ours, theirs = socket.socketpair()
        child.is_ready, child.failing = False, None
        ports = {} if child.part.runs_sagas else {name: held.fileno() for name, held in self._held.items()}
        with theirs:
            process = child.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", *child.part.arguments, "--lifeline"),
                *("--part", child.part.name, "--siblings", str(theirs.fileno())),
                *(f"--{name}={fd}" for name, fd in ports.items()),
                pass_fds=(theirs.fileno(), *ports.values()),
                stdin=PIPE,
                start_new_session=True,  # the terminal's Ctrl-C reaches us only, and children leave in order
            )
        if self._is_leaving or child.is_told:
            child.signal(signal.SIGTERM)
        try:
            frames = child.frames = Frames(on_frame=lambda payload: self._received(child, payload), on_lost=_nothing)
            ours.setblocking(False)
            await asyncio.get_running_loop().create_unix_connection(lambda: frames, sock=ours)
            exit_code = await process.wait()
            await frames.close()  # what it said last has been read
        finally:
            if process.stdin is not None:
                process.stdin.close()
        return exit_code

    def _require_hope(self, child: _Child, exit_code: int) -> None:
        """Raises: ChildFailed for a child that has said why it cannot start, or dies again and again before it is ready."""
        if child.failing is not None:
            raise ChildFailed(child.failing.problems, exit_code=child.failing.exit_code)
        if not child.is_ready and child.restarts.deaths + 1 >= DEATHS_AT_START:
            how = f"{child.part.name} {_how(exit_code)} {DEATHS_AT_START} times before it was ready"
            raise ChildFailed([f"{how}: what it wrote above may tell why"], exit_code=1)

    def _tell_death(self, child: _Child, exit_code: int, *, wait: Seconds) -> None:
        problems = None if child.failing is None else child.failing.problems
        how = _how(exit_code)
        self._log.error("process died", died=child.part.name, how=how, problems=problems, restart_in=round(wait, 3))

    # -- leaving -------------------------------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._asked, number)

    def _asked(self, number: signal.Signals) -> None:
        """Stage by stage. Whatever is killed, sagas go on at the next start."""
        match self._departure.asked(number):
            case Stage.ANNOUNCED:
                delay = self._departure.delay
                self._log.info("not ready any more", signal=number.name, drains_in=delay)
                for child in self._workers():
                    child.tell(signal.SIGTERM)
                asyncio.get_running_loop().call_later(delay, self._waited)
            case Stage.DRAINING:
                self._log.info("draining", signal=number.name)
                for child in self._workers():
                    child.tell(signal.SIGINT)
                self._asked_to_leave.set()
            case _:
                self._log.info("not waiting any longer", signal=number.name)
                self._kill()

    def _waited(self) -> None:
        """The workers' own delays are over now, too."""
        if self._departure.waited():
            self._log.info("draining", after=self._departure.delay)
            self._asked_to_leave.set()

    def _workers(self) -> list[_Child]:
        return [child for child in self._children if not child.part.runs_sagas]

    async def _leave(self) -> None:
        """Workers first, so that whoever waits for a saga is answered by it; the saga process last."""
        self._is_leaving = True
        for held in self._held.values():
            held.close()  # the workers' own ends are closed as they leave: then connections are refused
        try:
            for is_last in (False, True):
                await self._end([child for child in self._children if child.part.runs_sagas is is_last])
        finally:
            self._kill()
        self._log.info("stopped")

    async def _end(self, children: Sequence[_Child]) -> None:
        alive = [child.process for child in children if child.process is not None and child.is_alive]
        for child in children:
            if not child.is_told:
                child.signal(signal.SIGTERM)
        if not alive:
            return
        longest = max(child.part.drain for child in children) + GRACE
        with suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await asyncio.gather(*(process.wait() for process in alive))
            return
        self._log.error("processes did not leave in time", within=longest)
        for child in children:
            child.signal(signal.SIGKILL)
        await asyncio.gather(*(process.wait() for process in alive))

    def _kill(self) -> None:
        for child in self._children:
            child.signal(signal.SIGKILL)

    # -- conversation --------------------------------------------------------------------------------------------------

    def _received(self, child: _Child, payload: bytes) -> None:
        match from_child(payload):
            case Ready():
                child.is_ready = True
                self._tell_when_up()
            case Unneeded():
                child.is_unneeded = True
                self._tell_when_up()
            case Failing() as failing:
                child.failing = failing
            case Gather(number):
                task = asyncio.create_task(self._gather(child, number))
                self._gathering.add(task)
                task.add_done_callback(self._gathering.discard)
            case Exposition(number, text):
                if (waiting := self._exposing.get(number)) is not None and not waiting.done():
                    waiting.set_result(text)

    def _tell_when_up(self) -> None:
        if not self._has_been_up and all(child.is_ready or child.is_unneeded for child in self._children):
            self._has_been_up = True
            self._log.info("all processes ready", url=self._url, processes=[each.part.name for each in self._children])

    async def _gather(self, child: _Child, number: int) -> None:
        """Ask all but `child` for their metrics, and tell it what came in time."""
        others = [other for other in self._children if other is not child and not other.is_unneeded]
        texts = await asyncio.gather(*(self._exposition(other) for other in others))
        answer: Mapping[str, str | None] = dict(zip((other.part.name for other in others), texts, strict=True))
        if child.frames is not None:
            child.frames.send(encode(Gathered(number, dict(answer))))

    async def _exposition(self, child: _Child) -> str | None:
        if child.frames is None or not child.frames.is_open:
            return None
        self._last = number = self._last + 1
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._exposing[number] = answer
        try:
            child.frames.send(encode(Expose(number)))
            async with asyncio.timeout(ANSWER_WITHIN):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._exposing[number]


def _how(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exited with {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was killed by signal {-exit_code}"


def _nothing() -> None:
    """That its end of the pair is closed says no more than that it has ended, which `wait` tells."""
