"""A service as its tests see it: JSON in, JSON out, with or without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx


class Front:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str) -> Any:
        """The JSON of a 200."""
        response = await self.client.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, body: object, *, key: str | None = None) -> httpx.Response:
        """A write, under a key of its own unless one is given."""
        return await self.client.post(path, json=body, headers={"Idempotency-Key": key or str(uuid4())})

    async def break_with(self, **fault: Any) -> None:
        response = await self.client.put("/__fault", json=fault)
        assert response.status_code == 200, response.text

    async def has_effects(self) -> bool:
        return bool(await self.effects())

    async def was_called(self) -> bool:
        return bool((await self.get("/__calls"))["total"])

    async def effects(self) -> list[str]:
        return [entry["effect"] for entry in await self.get("/__ledger")]


async def until(holds: Callable[[], Awaitable[bool]], *, within: float = 5.0) -> None:
    """Returns once the condition holds. Raises: TimeoutError."""
    async with asyncio.timeout(within):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)


OpenService = Callable[[str], Awaitable[Front]]
