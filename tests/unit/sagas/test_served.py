"""The tests of the embedded host once more, with the saga process's socket between whoever asks and the host."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, cast

import pytest

from gateway.sagas import EmbeddedHost

from . import test_embedded, test_operating, test_waiting
from .served import ServedHost
from .world import HOSTING

BEHAVIOURS = [
    pytest.param(test, id=name)
    for module in (test_embedded, test_operating, test_waiting)
    for name, test in vars(module).items()
    if name.startswith("test_") and "host_of" in inspect.getsource(test) and not inspect.signature(test).parameters
]


def served(host: EmbeddedHost) -> EmbeddedHost:
    return cast("EmbeddedHost", ServedHost(host))


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_host_behind_its_socket_does_as_the_embedded_one_does(behaviour: Callable[[], Any]) -> None:
    token = HOSTING.set(served)
    try:
        behaviour()
    finally:
        HOSTING.reset(token)
