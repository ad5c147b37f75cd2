"""A marker of this folder: `-m "not typing"` leaves out what runs the type checkers."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "typing: runs mypy and pyright, some seconds each")
