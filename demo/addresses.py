"""Where the shop lives: one port per service in alphabetical order, the next one for the gateway's admins, and one data directory.

Invariant: the order of NAMES is the order of the ports; it never changes with the environment, only the base does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

NAMES = ("catalog", "customers", "inventory", "orders", "payments", "reviews", "shipping")
HOST = "127.0.0.1"
PORT_BASE_VARIABLE = "DEMO_PORT_BASE"
DATA_VARIABLE = "DEMO_DATA"
DEFAULT_PORT_BASE = 8101
DEFAULT_DATA = ".demo"
HIGHEST_PORT = 65535


class BadPortBase(ValueError):
    """DEMO_PORT_BASE is not a number from which eight ports can be counted."""


def port(name: str, environment: Mapping[str, str] = os.environ) -> int:
    """The service's port. Raises: KeyError for a name that is no service, BadPortBase for an impossible base."""
    if name not in NAMES:
        raise KeyError(f"no service is called {name!r}; there are {', '.join(NAMES)}")
    return _port_base(environment) + NAMES.index(name)


def admin_port(environment: Mapping[str, str] = os.environ) -> int:
    """Where the gateway tells of itself, to the operator. Raises: BadPortBase."""
    return _port_base(environment) + len(NAMES)


def url(name: str, environment: Mapping[str, str] = os.environ) -> str:
    return f"http://{HOST}:{port(name, environment)}"


def data_dir(environment: Mapping[str, str] = os.environ) -> Path:
    return Path(environment.get(DATA_VARIABLE) or DEFAULT_DATA)


def _port_base(environment: Mapping[str, str]) -> int:
    text = environment.get(PORT_BASE_VARIABLE) or str(DEFAULT_PORT_BASE)
    highest = HIGHEST_PORT - len(NAMES)
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= highest):
        raise BadPortBase(f"{PORT_BASE_VARIABLE} must be a port number from 1 to {highest}, not {text!r}")
    return int(text)
