"""What a service is told of the caller: headers that its settings name, and no other.

Invariants: an anonymous caller is not told of; a public answer is asked for without any, a tenant's with its tenant at most, so
that sharing it is safe by construction; a client's own header of such a name goes nowhere; no value can be more than one header,
and two callers never have one value: what a header cannot hold is percent-encoded (UTF-8), the percent sign and the space always.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from ..identity import Identity
from .headers import names_in, require_usable
from .request import Sharing

Says = Literal["subject", "tenant", "scopes"]

_PLAIN = "!#$&'()*+-./:;=?@[]^_`{|}~"
"""What stands in a value as it is, besides letters and digits. No comma: it separates values in lists."""


@dataclass(frozen=True, slots=True)
class IdentityHeader:
    """A header, in lower case, and what it says."""

    name: str
    says: Says

    def __str__(self) -> str:
        return f"{self.name} = {self.says}"


def require_tellable(headers: Sequence[IdentityHeader], *, forwarded: Sequence[str], constant: Sequence[str]) -> None:
    """Raises: ValueError for a header that cannot say who is calling, or that something else says too."""
    matches = names_in(tuple(each for each in forwarded if not each.endswith("*")))
    names = [each.name for each in headers]
    for name in names:
        require_usable(name)
        if names.count(name) > 1:
            raise ValueError(
                f"identity_headers names {name!r} twice, once in other letters: names are the same in both"
            )
        if matches(name) or name in constant:
            raise ValueError(
                f"identity_headers names {name!r}, and so does send_headers or set_headers: only one can be sent"
            )


def told(identity: Identity, headers: Sequence[IdentityHeader], sharing: Sharing) -> tuple[tuple[str, str], ...]:
    """The headers that go with a call on behalf of `identity`, whose answer is shared so."""
    if identity.is_anonymous or sharing is Sharing.PUBLIC:
        return ()
    may_say = {"tenant"} if sharing is Sharing.TENANT else {"tenant", "subject", "scopes"}
    pairs = ((each.name, _SAYS[each.says](identity)) for each in headers if each.says in may_say)
    return tuple((name, value) for name, value in pairs if value)


_SAYS: dict[Says, Callable[[Identity], str]] = {
    "subject": lambda identity: _value(identity.subject),
    "tenant": lambda identity: _value(identity.tenant),
    "scopes": lambda identity: " ".join(_value(each) for each in sorted(identity.scopes)),
}


def _value(text: str) -> str:
    return quote(text, safe=_PLAIN)
