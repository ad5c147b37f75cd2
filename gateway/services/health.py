"""Active health checks: each instance is asked now and then whether it is well, so that traffic need not find out.

State: the checks' results, per service and worker process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..clock import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """How instances are asked for their health."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    path: str = ""
    """What is asked for with GET; "" asks nobody. 2xx is well, all else is not."""
    interval: Seconds = Seconds(5.0)
    """Seconds between two checks of an instance, jittered by a tenth."""
    timeout: Seconds = Seconds(1.0)
    """Seconds after which a check has failed."""
    unhealthy_after: int = 2
    """Failed checks in a row that take an instance out."""
    healthy_after: int = 2
    """Good checks in a row that bring it back."""
