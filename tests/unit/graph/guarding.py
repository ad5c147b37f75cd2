"""A request's context without a gateway around it, for calling one field alone."""

from collections.abc import Iterable
from random import Random
from types import SimpleNamespace
from typing import Any

from gateway.clock import Deadline
from gateway.graph import Ctx
from gateway.identity import ANONYMOUS, Identity
from gateway.loading import Loaders, Loads, Reading
from gateway.sagas import Host
from gateway.services import Services
from gateway.telemetry import Telemetry
from gateway.testing import VirtualClock


def bare_ctx(
    *,
    identity: Identity = ANONYMOUS,
    sagas: Host | None = None,
    deadline: Deadline | None = None,
    idempotency_key: str | None = None,
) -> Ctx:
    """A context whose loaders have no service to ask."""
    telemetry, clock = Telemetry(), VirtualClock()
    loaders = Loaders(
        services=Services({}, telemetry=telemetry, clock=clock, random=Random(1)), telemetry=telemetry, clock=clock
    )
    deadline = deadline or Deadline()
    return Ctx(
        identity=identity,
        deadline=deadline,
        loads=Loads(loaders, Reading(identity=identity, deadline=deadline)),
        telemetry=telemetry,
        clock=clock,
        sagas=sagas,
        idempotency_key=idempotency_key,
    )


def context(*, scopes: Iterable[str] = ()) -> Any:
    """An info whose context belongs to a caller with `scopes`; anonymous without any."""
    given = frozenset(scopes)
    return SimpleNamespace(context=bare_ctx(identity=Identity("t", "s", given) if given else ANONYMOUS))
