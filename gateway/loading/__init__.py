"""Many keys -> few calls: declared loaders, one batch per layer, caches with a declared freshness."""

from .batch import BoundLoader, Loaders
from .cache import Found, LoaderCache
from .loader import Loader, Page, Pages, lazy_loader
from .loads import Loads
from .reading import Reading
from .refreshes import Refreshes
from .service import Service

__all__ = [
    "BoundLoader",
    "Found",
    "Loader",
    "LoaderCache",
    "Loaders",
    "Loads",
    "Page",
    "Pages",
    "Reading",
    "Refreshes",
    "Service",
    "lazy_loader",
]
