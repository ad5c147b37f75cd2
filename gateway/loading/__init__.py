"""Many keys -> few calls: declared loaders, one batch per layer, caches with a declared freshness."""

from .batch import BoundLoader, Loaders
from .cache import Found, LoaderCache
from .loader import Loader, Page, Pages, lazy_loader
from .loads import Loads
from .polls import Polls
from .reading import Reading
from .reconcile import Authority, Newest, Quorum, Reconciliation, authority, newest, quorum
from .recording import Read, Recording
from .refreshes import Refreshes
from .service import Service
from .spent import Spent

__all__ = [
    "Authority",
    "BoundLoader",
    "Found",
    "Loader",
    "LoaderCache",
    "Loaders",
    "Loads",
    "Newest",
    "Page",
    "Pages",
    "Polls",
    "Quorum",
    "Read",
    "Reading",
    "Reconciliation",
    "Recording",
    "Refreshes",
    "Service",
    "Spent",
    "authority",
    "lazy_loader",
    "newest",
    "quorum",
]
