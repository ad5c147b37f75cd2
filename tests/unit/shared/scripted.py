"""A shared store in this process that can be dead, slow or poisoned, in virtual time; several gateways may have the same one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.clock import Seconds
from gateway.shared import Script


class ScriptedStore:
    """A `StoreClient`. `values`: what is there, and until when."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[bytes, float]] = {}
        self.trouble: Exception | None = None
        """What every command raises."""
        self.takes = Seconds(0.001)
        """Seconds of every command."""
        self.asked: list[str] = []
        self.answered = 0
        self.ran: list[tuple[str, tuple[str, ...]]] = []
        self.returns: Sequence[int | bytes] = (1, b"0")
        """What every script returns."""
        self.is_closed = False

    async def ping(self) -> None:
        await self._command("ping")

    async def get(self, key: str, *, at_most: int, keep: Seconds) -> bytes | None:
        await self._command("get")
        value, until = self.values.get(key, (None, 0.0))
        if value is None or until <= _now():
            return None
        self.values[key] = value, _now() + keep
        return value[:at_most]

    async def set(self, key: str, value: bytes, *, keep: Seconds) -> None:
        await self._command("set")
        self.values[key] = value, _now() + keep

    async def delete(self, key: str) -> None:
        await self._command("delete")
        self.values.pop(key, None)

    async def run(self, script: Script, key: str, *arguments: str) -> Sequence[int | bytes]:
        """No Lua is run here: what a script does is tested with a real server."""
        await self._command("run")
        self.ran.append((key, arguments))
        return self.returns

    async def close(self) -> None:
        self.is_closed = True

    async def _command(self, name: str) -> None:
        self.asked.append(name)
        await asyncio.sleep(self.takes)
        if self.trouble is not None:
            raise self.trouble
        self.answered += 1


def _now() -> float:
    return asyncio.get_running_loop().time()
