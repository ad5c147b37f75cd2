"""A cable that is cut: `unshare --net python cut_cable.py PORT` follows streams in a network of its own, and pulls its plug.

No end is told of anything: no FIN, no RST, packets are lost. Prints, as JSON, what the gateway holds before, with the streams, and
when the network is back: by then it has to have given up whom it could not reach.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from tests.e2e.conftest import is_listening, wait_until
from tests.e2e.test_streams import TRANSPORTS, Served

PING, GONE_AFTER = 0.2, 1.0
"""Seconds."""
CUT = 4.0
"""Seconds: a ping, the time until its silence is noticed, and as much again for the kernel's timers, which double."""
EACH = 3
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1  # ioctls of network interfaces, from Linux's sockios.h


def loopback(*, up: bool) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as control:
        asked = fcntl.ioctl(control, _GET_FLAGS, struct.pack("16sh14x", b"lo", 0))
        _, flags = struct.unpack("16sh14x", asked)
        fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP if up else flags & ~_UP))


def main(port: int) -> dict[str, Any]:
    loopback(up=True)
    script = str(Path(__file__).with_name("streaming_gateway.py"))
    arguments = [sys.executable, script, str(port), str(PING), str(GONE_AFTER)]
    with subprocess.Popen(arguments, env=os.environ) as process, ExitStack() as clients:
        wait_until(lambda: is_listening(port), saying="the gateway listens")
        served = Served(port, process)
        told = {"before": served.counts()}
        for transport in TRANSPORTS * EACH:
            clients.enter_context(closing(served.opened(transport, "quiet")))
        told["with streams"] = served.counts()
        loopback(up=False)
        time.sleep(CUT)  # there is no network by which anything could be asked
        loopback(up=True)
        told["after"] = served.counts()
        process.terminate()
    return told


if __name__ == "__main__":
    json.dump(main(int(sys.argv[1])), sys.stdout)
