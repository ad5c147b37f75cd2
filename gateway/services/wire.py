"""The wire: what puts bytes on the network, and the only place where a foreign exception becomes one of ours.

Invariant: one `send` is at most one request on the network; retries belong to the retry policy alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..clock import Seconds
from .request import ServiceRequest, ServiceResponse

if TYPE_CHECKING:
    from .config import ServiceConfig  # whose health settings stand beside checks that know a wire


class Wire(Protocol):
    """A service's connections; owned by one event loop between `start` and `close`."""

    async def send(self, request: ServiceRequest, *, timeout: Seconds) -> ServiceResponse:  # noqa: ASYNC109  (a fact for the wire, enforced again above it)
        """The service's answer, whatever its status.

        `timeout` in seconds; inf where somebody above ends it.
        Raises: ServiceUnavailable(applied=False) if nothing was sent, (applied=None) if it broke off; ServiceTimeout
        after `timeout`; ServiceContractBroken for an answer beyond the size limit.
        """
        ...

    def configure(self, config: ServiceConfig) -> None:
        """Other settings from now on; what is under way goes on."""
        ...

    async def start(self) -> None:
        """Make ready to send; opens no connection, so a dead service does not stop us from starting."""
        ...

    async def close(self) -> None:
        """Close what is open. Closing twice is closing once."""
        ...
