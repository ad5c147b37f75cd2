"""Faults of a game day: a header in which whoever holds the key says what befalls the calls of one operation.

    X-SagaQL-Faults: <payload>.<signature>

The payload is base64url (unpadded) of JSON: `faults`, a plan of service -> shares as `FaultSettings` has them; `until`, seconds
since 1970; perhaps `tenant`, the only one whose operations it may befall. The signature is base64url of HMAC-SHA256 over the
payload's text. A header may be sent again and again until it expires: it changes nothing, and says nothing that is secret.

Invariants: without a key no header is taken; a plan is read only once its signature, compared in constant time, is known to be
right; what is altered, expired, good for longer than a day, of another tenant, or names what there is not, is refused. All but
`FaultsHeader` is pure, and told the time. A saga's steps are never befallen: they are the gateway's own promise, and no header's
business.
Source: JSON Web Signature (RFC 7515) without its negotiation: one algorithm, so nobody can choose a weaker one.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Collection, Sequence
from datetime import timedelta
from difflib import get_close_matches
from hashlib import sha256

import msgspec

from ..clock import Clock, Epoch, Seconds, utc
from ..errors import Forbidden, RequestError
from ..services import planned_faults
from ..telemetry import Metrics

HEADER = "X-SagaQL-Faults"

LONGEST = Seconds(86_400.0)
"""Seconds that a header may be good for. A day: a game day."""

MAX_LENGTH = 8_192
"""Characters of a header: a plan for fifty services."""

_PURPOSE = b"sagaql faults, version 1\0"
"""Signed along, so that no signature made for something else is one of ours."""


class FaultsRefused(RequestError):
    """The header is not one that this gateway obeys; `why` is the metric's label."""

    def __init__(self, message: str, *, why: str) -> None:
        super().__init__(message)
        self.why = why


class NoGameDay(Forbidden):
    """There is no key here, so nobody may ask for faults."""


class _Payload(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    faults: msgspec.Raw
    until: float
    tenant: str | None = None


_payloads = msgspec.json.Decoder(_Payload)


class FaultsHeader:
    """The header at the door: finds out the time, and counts what comes of it."""

    def __init__(self, key: str | None, *, services: Collection[str], clock: Clock, metrics: Metrics) -> None:
        self._key = key
        self._services = services
        self._clock = clock
        self._counts = metrics.game_day_headers

    def __repr__(self) -> str:
        return f"<FaultsHeader {'refused' if self._key is None else 'verified'}>"

    def plan(self, sent: Sequence[str], *, tenant: str) -> str | None:
        """The plan that an operation of `tenant` runs with; None where no header was sent.

        Raises: NoGameDay, FaultsRefused.
        """
        if not sent:
            return None
        if self._key is None:
            self._counts.labels("no_key").inc()
            raise NoGameDay(f"{HEADER} is not taken here: there is no operation.game_day_key")
        try:
            plan = verified(sent, key=self._key, now=self._clock.wall(), tenant=tenant, services=self._services)
        except FaultsRefused as error:
            self._counts.labels(error.why).inc()
            raise
        self._counts.labels("taken").inc()
        return plan


def signed(plan: str, *, key: str, until: Epoch, tenant: str | None = None) -> str:
    """The header's value for a plan that was checked by `checked`. Raises: ValueError for one that is too long to be sent."""
    payload = _text(msgspec.json.encode(_Payload(msgspec.Raw(plan.encode()), until, tenant)))
    header = f"{payload}.{_signature(payload, key)}"
    if len(header) > MAX_LENGTH:
        raise ValueError(
            f"the header would have {len(header)} characters, and may have {MAX_LENGTH}: plan for fewer services"
        )
    return header


def verified(sent: Sequence[str], *, key: str, now: Epoch, tenant: str, services: Collection[str]) -> str:
    """The plan in the header's one value. Raises: FaultsRefused."""
    payload = _payload(sent, key=key)
    if now >= payload.until:
        raise FaultsRefused(f"{HEADER} is no longer good: sign the plan again with `sagaql faults`", why="expired")
    if payload.until - now > LONGEST:
        raise FaultsRefused(f"{HEADER} is good for longer than {_days(LONGEST)}: sign it for less", why="too_long")
    if payload.tenant is not None and payload.tenant != tenant:
        raise FaultsRefused(f"{HEADER} was signed for another tenant than the caller's", why="another_tenant")
    try:
        return checked(bytes(payload.faults).decode(), services=services)
    except ValueError as error:
        raise FaultsRefused(f"{HEADER}: {error}", why="unknown") from error


def checked(plan: str, *, services: Collection[str]) -> str:
    """`plan`, if it is one, of services that there are. Raises: ValueError with a sentence."""
    for name in planned_faults(plan):
        if name not in services:
            near = get_close_matches(name, services, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"there is no service {name!r}: {hint}declared are {', '.join(sorted(services)) or 'none'}"
            )
    return plan


def expiry(lasts: Seconds, *, now: Epoch) -> Epoch:
    """When a header signed now is no longer good. Raises: ValueError for one of no time, or of more than a day."""
    if not 0 < lasts <= LONGEST:
        raise ValueError(f"a header may be good for more than nothing and at most {_days(LONGEST)}")
    return Epoch(now + lasts)


def told(until: Epoch) -> str:
    """The instant as people read it."""
    return utc(until).isoformat(timespec="seconds")


def _payload(sent: Sequence[str], *, key: str) -> _Payload:
    """What was signed. Nothing of it is read before the signature is known to be ours."""
    header = sent[0]
    if len(sent) > 1 or len(header) > MAX_LENGTH or header.count(".") != 1:
        raise _malformed()
    text, _, signature = header.partition(".")
    if not hmac.compare_digest(_signature(text, key).encode(), signature.encode()):
        raise FaultsRefused(f"{HEADER} is not signed with this gateway's operation.game_day_key", why="forged")
    try:
        return _payloads.decode(_bytes(text))
    except (NotBase64, ValueError) as error:  # msgspec's are ValueErrors too
        raise _malformed() from error


def _malformed() -> FaultsRefused:
    return FaultsRefused(
        f"{HEADER} must be sent once, as <payload>.<signature>: `sagaql faults` writes it", why="malformed"
    )


def _signature(payload: str, key: str) -> str:
    """Compared as text: base64 has several texts of the same bytes, and only one of them is ours."""
    return _text(hmac.digest(key.encode(), _PURPOSE + payload.encode(), sha256))


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _days(seconds: Seconds) -> str:
    return f"{timedelta(seconds=seconds) // timedelta(hours=1)} h"
