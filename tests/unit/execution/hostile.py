"""Names that somebody might send, or an author choose, to have them executed."""

from __future__ import annotations

HOSTILE = [
    "__import__('os').system('true')",
    "a'}] + [exit()] + [{'b",
    'a"\n    raise SystemExit\n#',
    'a"',
    "a\nb",
    "a\\",
    "\\",
    "\\'",
    "{0}",
    "v0",
    "c0",
    "m0",
    "o",
    "make",
    "constant",
    "count",
    "objects",
    "None",
    "__class__",
    "__struct_fields__",
    "\u2028",
    "'''",
]
