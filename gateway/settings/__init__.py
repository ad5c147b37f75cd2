"""Every knob of the gateway: one typed, frozen tree, one module and one model per concern.

Durations are written "250ms", "2s", "15m"; sizes "64KiB", "1MiB". A string in the file may hold `${NAME}` or
`${NAME:-default}`, so that no secret need be written into it.
Read by the gateway's top floor only; everything below is handed plain values.
"""

from .graph import GraphSettings
from .identity import IdentitySettings, IssuerSettings, ProxySettings, TokenSettings
from .limits import ClientClassSettings, LimitSettings
from .operation import OperationSettings
from .sagas import SagaSettings
from .server import ServerSettings
from .service import ServiceSettings
from .shared import SharedSettings
from .sources import SettingsInvalid
from .telemetry import TelemetrySettings
from .tree import Settings, load_settings

__all__ = [
    "ClientClassSettings",
    "GraphSettings",
    "IdentitySettings",
    "IssuerSettings",
    "LimitSettings",
    "OperationSettings",
    "ProxySettings",
    "SagaSettings",
    "ServerSettings",
    "ServiceSettings",
    "Settings",
    "SettingsInvalid",
    "SharedSettings",
    "TelemetrySettings",
    "TokenSettings",
    "load_settings",
]
