"""Every test of the suite runs once for every host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .hosts import HOMES, Home


@pytest.fixture(params=HOMES)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    make: Callable[[Path], Home] = HOMES[request.param]
    return make(tmp_path)
