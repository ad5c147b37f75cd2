"""Tokens of every kind at one door: which counts, for how long it is known, and that none is ever shown."""

from __future__ import annotations

import asyncio
from io import StringIO
from typing import Any

import pytest

from gateway.clock import Epoch
from gateway.edge import StaticTokens, hashed
from gateway.edge.authentication import bearer as module
from gateway.errors import Unauthenticated
from gateway.identity import ANONYMOUS, Identity, known
from gateway.telemetry import Telemetry, json_log
from gateway.testing import VirtualClock, in_virtual_time
from tests.tokens import NOW, Provider, authenticator, bearer, claims, jwk, rsa_key, token

KEY = jwk(rsa_key(), "one")
ROBOT = Identity("acme", "robot")


def counted(telemetry: Telemetry, outcome: str) -> float:
    found: float = telemetry.metrics.authentications.labels(outcome)._value.get()
    return found


@in_virtual_time
async def test_a_static_token_counts_beside_signed_ones_and_no_credentials_are_anonymous() -> None:
    static = StaticTokens({hashed("a.static.token"): ROBOT})
    async with authenticator(Provider(KEY), static=static) as tokens:
        assert await tokens.authenticate(bearer("a.static.token")) == ROBOT
        assert (await tokens.authenticate(bearer(token()))).subject == "ann"
        assert await tokens.authenticate({}) is ANONYMOUS
        for header in ("", "Bearer", "Basic YTpi", "Bearer  ", "Bearer demo"):
            with pytest.raises(Unauthenticated):
                await tokens.authenticate({"authorization": header})


@in_virtual_time
async def test_a_token_is_verified_once_and_known_until_it_expires() -> None:
    telemetry = Telemetry()
    async with authenticator(Provider(KEY), telemetry=telemetry) as tokens:
        text = token(claims(exp=NOW + 100))
        first = await tokens.authenticate(bearer(text))
        assert await tokens.authenticate(bearer(text)) is first
        assert first.expires_at == Epoch(NOW + 130), (
            "a stream ends when the token would be refused, the leeway included"
        )
        await asyncio.sleep(129)
        assert await tokens.authenticate(bearer(text)) is first
        await asyncio.sleep(1)
        with pytest.raises(Unauthenticated):
            await tokens.authenticate(bearer(text))
    assert (counted(telemetry, "verified"), counted(telemetry, "known")) == (1, 2)
    assert counted(telemetry, "refused_expired") == 1
    assert repr(tokens) == "<BearerTokens <StaticTokens 0 known>, 1 issuers, 0 verified>"


@in_virtual_time
async def test_a_wall_clock_that_jumps_back_makes_a_known_token_too_early_again() -> None:
    clock = VirtualClock()
    async with authenticator(Provider(KEY), clock=clock) as tokens:
        text = token(claims(nbf=NOW - 100, iat=None))
        await tokens.authenticate(bearer(text))
        clock.jump(-1000)
        with pytest.raises(Unauthenticated):
            await tokens.authenticate(bearer(text))


@in_virtual_time
async def test_what_is_refused_is_not_remembered_and_what_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_VERIFIED", 3)
    async with authenticator(Provider(KEY)) as tokens:
        for number in range(10):
            await tokens.authenticate(bearer(token(claims(sub=str(number)))))
            with pytest.raises(Unauthenticated):
                await tokens.authenticate(bearer(token(claims(sub=str(number)), key=rsa_key(9))))
        assert "3 verified" in repr(tokens)


@in_virtual_time
async def test_two_tokens_of_one_caller_are_two_tokens_and_one_caller() -> None:
    async with authenticator(Provider(KEY)) as tokens:
        one = await tokens.authenticate(bearer(token(claims(exp=NOW + 10))))
        other = await tokens.authenticate(bearer(token(claims(exp=NOW + 20))))
        assert one == other
        assert one.expires_at != other.expires_at


@pytest.mark.parametrize("names", [("", "a"), ("t", ""), ("t", "a\n"), ("public", "anonymous"), ("t" * 256, "a")])
def test_nobody_is_called_nothing_or_what_the_anonymous_caller_is_called(names: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"printable|without credentials"):
        known(*names)
    assert known("public", "Anonymous", expires_at=Epoch(1)).is_anonymous is False


CANARY = "canary-subject-7"


@in_virtual_time
async def test_no_line_no_label_and_no_text_of_ours_has_a_token_or_a_claim() -> None:
    lines, telemetry = StringIO(), Telemetry()
    telemetry = Telemetry(log=json_log(lines, level="debug"))
    good, shown = token(claims(sub=CANARY)), list[Any]()
    async with authenticator(Provider(KEY), telemetry=telemetry) as tokens:
        await tokens.authenticate(bearer(good))
        tried = [
            good + "x",
            token(claims(sub=CANARY, exp=1)),
            token(claims(sub=CANARY), kid=CANARY),
            CANARY,
            "Basic " + good,
        ]
        for text in tried:
            with pytest.raises(Unauthenticated) as caught:
                await tokens.authenticate(bearer(text))
            error: BaseException | None = caught.value
            while error is not None:
                shown += [str(error), repr(error), error.extensions() if isinstance(error, Unauthenticated) else ""]
                error = error.__cause__
        shown += [repr(tokens), repr(tokens.key_sets), str(vars(tokens).keys())]
    said = lines.getvalue() + telemetry.metrics.exposition().decode() + " ".join(map(str, shown))
    assert "token refused" in said
    for secret in (CANARY, good, *good.split(".")[1:], hashed(good)):
        assert secret not in said
