"""Calls to services: a client per service, each with its stack of policies over a wire. Start reading in `stack.py`."""

from .budget import BudgetSettings
from .command import Command, send
from .config import ServiceConfig
from .headers import SetHeader
from .health import HealthSettings
from .httpx_transport import HttpClient, OnBehalf
from .identity_headers import IdentityHeader, told
from .instances import BalanceSettings
from .outcome import AnsweredUnavailable, DeadlineCut, Outcome
from .policies import BreakerSettings, BreakerState, BulkheadSettings, FaultSettings, HedgeSettings, Retry
from .policies.faults import planned as planned_faults
from .registry import Services, UnknownService
from .request import UNREADABLE, Handler, Policy, Priority, ServiceRequest, ServiceResponse, Sharing
from .service import ServiceClient
from .wire import Wire

__all__ = [
    "UNREADABLE",
    "AnsweredUnavailable",
    "BalanceSettings",
    "BreakerSettings",
    "BreakerState",
    "BudgetSettings",
    "BulkheadSettings",
    "Command",
    "DeadlineCut",
    "FaultSettings",
    "Handler",
    "HealthSettings",
    "HedgeSettings",
    "HttpClient",
    "IdentityHeader",
    "OnBehalf",
    "Outcome",
    "Policy",
    "Priority",
    "Retry",
    "ServiceClient",
    "ServiceConfig",
    "ServiceRequest",
    "ServiceResponse",
    "Services",
    "SetHeader",
    "Sharing",
    "UnknownService",
    "Wire",
    "planned_faults",
    "send",
    "told",
]
