"""The same graph as `plain`, tuned as far as settings and libraries go: aiohttp, orjson, caches for parsing and validation.

`python -m benchmarks.peers.tuned PORT SERVICES_URL`. Resolvers and loaders are those of `plain`: tuning changes what is around
them.
"""

from __future__ import annotations

from typing import Any

import aiohttp
import orjson
import strawberry
from starlette.applications import Starlette
from starlette.routing import Route
from strawberry.extensions import ParserCache, ValidationCache

from benchmarks.peers import plain
from benchmarks.standing_in import serve

session: aiohttp.ClientSession | None = None
"""Made in the loop that serves, as aiohttp asks for."""


class Loaders(plain.Loaders):
    async def get(self, path: str, name: str, keys: list[str]) -> Any:
        global session
        if session is None:
            session = aiohttp.ClientSession(plain.SERVICES, connector=aiohttp.TCPConnector(limit=0))
        async with session.get(path, params=[(name, key) for key in keys]) as response:
            response.raise_for_status()
            return orjson.loads(await response.read())


class Endpoint(plain.Endpoint):
    async def get_context(self, request: Any, response: Any) -> Loaders:
        return Loaders()

    def encode_json(self, data: object) -> bytes:
        return orjson.dumps(data)

    def decode_json(self, data: str | bytes) -> object:
        return orjson.loads(data)


schema = strawberry.Schema(plain.Query, extensions=[ParserCache, ValidationCache])
app = Starlette(routes=[Route("/graphql", Endpoint(schema)), Route("/livez", plain.live)])

if __name__ == "__main__":
    serve(app)
