"""One instance of a small service, as a process of its own: `python instance.py PORT CONTROL_PORT`.

It answers `GET /stock?skus=a&skus=b`, well or in one of the ways in which real ones fail; which of them is told to its control
port, one word a line, and answered with how many requests it has read so far. Only Python's own library: it starts at once, and is
nothing of ours.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from urllib.parse import parse_qs, urlsplit

TOOK, TOOK_SLOW = 0.03, 0.3


class Instance:
    def __init__(self, port: int) -> None:
        self.mood = "well"
        self.asked = 0
        self._port = port
        self._listener: asyncio.Server | None = None

    async def listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self._port, backlog=256)

    async def told(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.mood = (await reader.readline()).decode().strip() or self.mood
        if self.mood == "refuses":
            if self._listener is not None:
                self._listener.close()
            self._listener = None
        else:
            await self.listen()
        writer.write(b"%d\n" % self.asked)
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.asked += 1
                skus = parse_qs(urlsplit(head.split(b" ", 2)[1].decode()).query).get("skus", [])
                body = json.dumps([{"sku": sku, "quantity": 1} for sku in skus]).encode()
                if not await self._answer(body, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, body: bytes, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        await asyncio.sleep(TOOK_SLOW if self.mood == "slow" else TOOK)
        match self.mood:
            case "resets":
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                return False
            case "garbage":
                writer.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n" + bytes(range(256)))
            case "fails":
                writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
            case "half-closes":
                writer.write(head + body[:5])
                writer.write_eof()
                await asyncio.sleep(30)
            case "trickles":
                writer.write(head)
                for byte in body:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(1.0)
            case "refuses":
                return False
            case _:
                writer.write(head + body)
        await writer.drain()
        return True


async def main(port: int, control: int) -> None:
    instance = Instance(port)
    await instance.listen()
    async with await asyncio.start_server(instance.told, "127.0.0.1", control) as controls:
        await controls.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
