"""Gateways on one core, and stand-in services on the other: processes of their own, ended when their block ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.execution.graph import SERVICES
from benchmarks.processes import STARTS_WITHIN, free_port, started

HONEST = 9
NAMES = ["greedy", *(f"honest-{number}" for number in range(HONEST))]
BUYER = "buyer"
GATEWAY_CPU, CROWD_CPU = 0, 1
NGINX = shutil.which("nginx", path="/usr/sbin:" + os.environ.get("PATH", ""))


@contextmanager
def services() -> Generator[tuple[subprocess.Popen[bytes], int]]:
    """All of them in one process, and their port."""
    port = free_port()
    command = [*on(CROWD_CPU), sys.executable, "-m", "benchmarks.overload.services", str(port)]
    with started(*command, port=port) as process:
        yield process, port


@contextmanager
def gateway(folder: Path, port: int, *, services: int, more: str = "") -> Generator[subprocess.Popen[bytes]]:
    """One that is ready. `more`: of its settings."""
    folder.mkdir(exist_ok=True)
    file = folder / "gateway.toml"
    file.write_text(_toml(port, services) + more, encoding="utf-8")
    command = [*on(GATEWAY_CPU), sys.executable, "-m", "gateway", "serve", "--config", str(file)]
    with started(*command, port=port) as process:
        # It listens before it answers, and lets whoever connects wait.
        httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=STARTS_WITHIN).raise_for_status()
        yield process


def on(cpu: int) -> tuple[str, ...]:
    """What runs a command on that processor only."""
    return ("taskset", "-c", str(cpu))


@contextmanager
def balancer(folder: Path, ports: list[int]) -> Generator[int]:
    """The port of an nginx that tries the next gateway where one has failed or says "later"."""
    if NGINX is None:
        raise RuntimeError("there is no nginx to balance: apt-get install nginx-light")
    port = free_port()
    file = folder / "nginx.conf"
    upstreams = " ".join(f"server 127.0.0.1:{each} max_fails=0;" for each in ports)
    file.write_text(
        "daemon off; worker_processes 1; error_log stderr crit; pid nginx.pid; events { worker_connections 4096; }\n"
        "http { access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n"
        f" uwsgi_temp_path uwsgi; scgi_temp_path scgi; upstream gateways {{ {upstreams} keepalive 64; }}\n"
        f" server {{ listen 127.0.0.1:{port}; keepalive_requests 1000000; location / {{\n"
        '  proxy_pass http://gateways; proxy_http_version 1.1; proxy_set_header Connection "";\n'
        "  proxy_next_upstream error timeout http_503 non_idempotent; } } }\n",
        encoding="utf-8",
    )
    with started(*on(CROWD_CPU), NGINX, "-p", str(folder), "-c", str(file), port=port):
        yield port


def resident(pid: int) -> float:
    """MiB of memory that a process holds now."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of a processor."""

    had: float
    waited: float
    """For one, while it could have run."""

    def __sub__(self, other: Took) -> Took:
        return Took(self.had - other.had, self.waited - other.waited)

    def __truediv__(self, seconds: float) -> Took:
        return Took(self.had / seconds, self.waited / seconds)


def taken(pid: int) -> Took:
    """What all threads of a process have had so far."""
    each = [path.read_text(encoding="utf-8").split() for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return Took(sum(int(had) for had, _, _ in each) / 1e9, sum(int(waited) for _, waited, _ in each) / 1e9)


def _toml(port: int, services: int) -> str:
    tables = "".join(f'[services.{name}]\nurl = "http://127.0.0.1:{services}"\ncoalesce = false\n' for name in SERVICES)
    tokens = "".join(f'[[identity.tokens]]\ntoken = "{name}"\nsubject = "{name}"\n' for name in NAMES)
    return (
        '[graph]\nquery = "benchmarks.overload.graph:Query"\nmutation = "benchmarks.overload.graph:Mutation"\nsdl = ""\n'
        f'[server]\nport = {port}\ngraphiql = false\n[telemetry]\nsample_ratio = 0\nlog_level = "error"\n{tables}{tokens}'
        f'[[identity.tokens]]\ntoken = "{BUYER}"\nsubject = "{BUYER}"\nscopes = ["critical"]\n'
    )
