"""The operators' side: a socket on which a running gateway takes commands, and a watch on its file of settings."""

from .client import NotListening, ask
from .commands import Caller, Command, Commands, Refused
from .file_watch import FileWatch, Signature, signature
from .server import ControlServer
from .table import services_table

__all__ = [
    "Caller",
    "Command",
    "Commands",
    "ControlServer",
    "FileWatch",
    "NotListening",
    "Refused",
    "Signature",
    "ask",
    "services_table",
    "signature",
]
