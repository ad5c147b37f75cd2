"""Calls to services: a client per service, each with its stack of policies over a wire. Start reading in `stack.py`."""

from .command import Command, send
from .config import ServiceConfig
from .httpx_transport import HttpClient
from .outcome import AnsweredUnavailable, DeadlineCut, Outcome
from .policies import BreakerSettings, BreakerState, BulkheadSettings, Retry
from .registry import Services, UnknownService
from .request import Handler, Policy, ServiceRequest, ServiceResponse, Sharing
from .service import ServiceClient
from .stack import build_stack
from .wire import Wire

__all__ = [
    "AnsweredUnavailable",
    "BreakerSettings",
    "BreakerState",
    "BulkheadSettings",
    "Command",
    "DeadlineCut",
    "Handler",
    "HttpClient",
    "Outcome",
    "Policy",
    "Retry",
    "ServiceClient",
    "ServiceConfig",
    "ServiceRequest",
    "ServiceResponse",
    "Services",
    "Sharing",
    "UnknownService",
    "Wire",
    "build_stack",
    "send",
]
