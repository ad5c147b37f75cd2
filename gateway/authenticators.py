"""What the settings say of who is known, as the authenticator that `app` hands to every way in.

Keys of issuers are fetched through a stack of policies of their own, so a provider that fails is retried, left alone and measured
like any service; its metrics call it by its place in the settings, `identity.issuers[0]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random

from .clock import Clock, Seconds
from .edge.authentication import (
    MAX_KEY_SET,
    BearerTokens,
    FetchedKeys,
    FileOfKeys,
    Issuer,
    KeySet,
    StaticTokens,
    TrustedProxy,
    is_address,
    place_of,
)
from .edge.authentication.key_sets import Source
from .services import ServiceClient, ServiceConfig, Wire
from .settings import IssuerSettings, Settings
from .telemetry import Telemetry

_ATTEMPT = Seconds(3.0)
"""A provider is farther away than a service, and nobody waits for it but who has a key that is new."""
_CONNECT = Seconds(1.0)


def authenticator_of(
    settings: Settings, *, telemetry: Telemetry, wires: Mapping[str, Wire], clock: Clock
) -> BearerTokens:
    """Nothing is fetched before it is entered. `wires`: by the names of the providers' stacks, for tests."""
    static = StaticTokens({each.digest: each.identity() for each in settings.identity.tokens})
    random = Random()  # noqa: S311 - it spreads waits, and keeps nobody out
    key_sets: list[KeySet] = []
    for index, each in enumerate(settings.identity.issuers):
        name, rules = f"identity.issuers[{index}]", each.rules()
        source = _source(
            rules, each, settings, name=name, telemetry=telemetry, clock=clock, random=random, wire=wires.get(name)
        )
        key_sets.append(KeySet(rules, source, clock=clock, telemetry=telemetry, random=random.random))
    return BearerTokens(static, key_sets, clock=clock, telemetry=telemetry, longest=settings.identity.max_token)


def proxy_of(settings: Settings, *, telemetry: Telemetry) -> TrustedProxy | None:
    """Whose word is taken; None: nobody's."""
    proxy = settings.identity.proxy
    return None if proxy is None else replace(proxy.trusted(), metrics=telemetry.metrics)


def _source(
    rules: Issuer,
    each: IssuerSettings,
    settings: Settings,
    *,
    name: str,
    telemetry: Telemetry,
    clock: Clock,
    random: Random,
    wire: Wire | None,
) -> Source:
    if not is_address(rules.jwks):
        return FileOfKeys(settings.root / rules.jwks)
    place = place_of(rules.jwks)
    config = ServiceConfig(
        instances=(place.origin,),
        attempt_timeout=_ATTEMPT,
        connect_timeout=_CONNECT,
        max_response=MAX_KEY_SET,
        ca_file=None if each.ca_file is None else str(settings.root / each.ca_file),
    )
    client = ServiceClient(name, config, telemetry=telemetry, clock=clock, random=random, wire=wire)
    return FetchedKeys(client, place, clock=clock)
