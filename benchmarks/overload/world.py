"""Gateways on one core, and stand-in services on the other: processes of their own, ended when their block ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

from benchmarks.execution.graph import SERVICES

STARTS_WITHIN = 30.0
"""Seconds."""
HONEST = 9
NAMES = ["greedy", *(f"honest-{number}" for number in range(HONEST))]
BUYER = "buyer"
GATEWAY_CPU, CROWD_CPU = 0, 1
ROOT = Path(__file__).parents[2]
NGINX = shutil.which("nginx", path="/usr/sbin:" + os.environ.get("PATH", ""))


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def process(*command: str, cpu: int) -> Generator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(["taskset", "-c", str(cpu), *command], env=environment) as started:
        try:
            yield started
        finally:
            ended(started)


def ended(started: subprocess.Popen[bytes]) -> None:
    """It has left, as it does at a SIGTERM."""
    if started.poll() is None:
        started.send_signal(signal.SIGTERM)
        started.wait(20)


@contextmanager
def services() -> Generator[int]:
    """The port of them all."""
    port = free_port()
    with process(sys.executable, "-m", "benchmarks.overload.services", str(port), cpu=CROWD_CPU):
        listening(port)
        yield port


@contextmanager
def gateway(folder: Path, port: int, *, services: int) -> Generator[subprocess.Popen[bytes]]:
    """One that is ready."""
    folder.mkdir(exist_ok=True)
    file = folder / "gateway.toml"
    file.write_text(_toml(port, services), encoding="utf-8")
    with process(sys.executable, "-m", "gateway", "serve", "--config", str(file), cpu=GATEWAY_CPU) as started:
        ready(port)
        yield started


def ready(port: int) -> None:
    """Returns when the gateway answers. It listens before, and lets whoever connects wait."""
    listening(port)
    httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=STARTS_WITHIN).raise_for_status()


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
    with process(NGINX, "-p", str(folder), "-c", str(file), cpu=CROWD_CPU):
        listening(port)
        yield port


def listening(port: int) -> None:
    """Returns when somebody does. Raises: RuntimeError."""
    ends = time.monotonic() + STARTS_WITHIN
    while True:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > ends:
            raise RuntimeError(f"nobody listens on {port} within {STARTS_WITHIN:g} s")
        time.sleep(0.05)


def resident(pid: int) -> float:
    """MiB of memory that a process holds now."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def _toml(port: int, services: int) -> str:
    tables = "".join(f'[services.{name}]\nurl = "http://127.0.0.1:{services}"\ncoalesce = false\n' for name in SERVICES)
    tokens = "".join(f'[[identity.tokens]]\ntoken = "{name}"\nsubject = "{name}"\n' for name in NAMES)
    return (
        '[graph]\nquery = "benchmarks.overload.graph:Query"\nmutation = "benchmarks.overload.graph:Mutation"\nsdl = ""\n'
        f'[server]\nport = {port}\ngraphiql = false\n[telemetry]\nsample_ratio = 0\nlog_level = "error"\n{tables}{tokens}'
        f'[[identity.tokens]]\ntoken = "{BUYER}"\nsubject = "{BUYER}"\nscopes = ["critical"]\n'
    )
