"""Who is calling: bearer tokens, static or signed, and the word of a trusted proxy. Start with `bearer.py`."""

from .bearer import LONGEST_TOKEN, BearerTokens
from .issuer import ALGORITHMS, Issuer, ensure_apart, is_address, path_of, place_of
from .key_sets import MAX_KEY_SET, FetchedKeys, FileOfKeys, KeySet
from .proxy import PEER, TrustedProxy, caller_of
from .static import SHORTEST_TOKEN, StaticTokens, hashed, token_in

__all__ = [
    "ALGORITHMS",
    "LONGEST_TOKEN",
    "MAX_KEY_SET",
    "PEER",
    "SHORTEST_TOKEN",
    "BearerTokens",
    "FetchedKeys",
    "FileOfKeys",
    "Issuer",
    "KeySet",
    "StaticTokens",
    "TrustedProxy",
    "caller_of",
    "ensure_apart",
    "hashed",
    "is_address",
    "path_of",
    "place_of",
    "token_in",
]
