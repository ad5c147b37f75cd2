"""The keys of an issuer over time, in virtual time: rotation, outage, forged names, and what waiting costs."""

from __future__ import annotations

import asyncio
from io import StringIO
from typing import Any

import pytest

from gateway.edge.authentication import BearerTokens, FileOfKeys, KeySet
from gateway.edge.authentication import key_sets as module
from gateway.edge.authentication.keys import MAX_KEYS, KeysUnreadable, keys_of
from gateway.errors import AuthenticationUnavailable, GatewayError, Unauthenticated
from gateway.telemetry import Telemetry, json_log
from gateway.testing import VirtualClock, in_virtual_time
from tests.tokens import Provider, authenticator, bearer, claims, ec_key, issuer, jwk, jwks, rsa_key, token

OLD, NEW = jwk(rsa_key(1), "old"), jwk(rsa_key(2), "new")
LONG = {"exp": 1_750_000_000 + 10**6}


def of_old() -> str:
    return token(claims(**LONG), key=rsa_key(1), kid="old")


def of_new() -> str:
    return token(claims(**LONG), key=rsa_key(2), kid="new")


def forged(name: str) -> str:
    return token(claims(**LONG), key=rsa_key(3), kid=name)


async def outcome(tokens: BearerTokens, text: str) -> str:
    try:
        return (await tokens.authenticate(bearer(text))).subject
    except GatewayError as error:
        return error.code


def now() -> float:
    return asyncio.get_running_loop().time()


# -- rotation ----------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_key_that_is_new_works_as_soon_as_a_token_names_it() -> None:
    provider = Provider(OLD)
    async with authenticator(provider) as tokens:
        assert await outcome(tokens, of_old()) == "ann"
        await asyncio.sleep(60)
        provider.lists(OLD, NEW)
        assert await outcome(tokens, of_new()) == "ann"
        assert provider.asked == 2


@in_virtual_time
async def test_a_key_that_is_no_longer_listed_is_gone_as_soon_as_that_is_heard_and_known_tokens_with_it() -> None:
    provider = Provider(OLD)
    async with authenticator(provider, issuer(cooldown=5.0, refresh=100.0, stale=1000.0)) as tokens:
        assert await outcome(tokens, of_old()) == "ann"
        provider.lists(NEW)
        await asyncio.sleep(89)
        assert await outcome(tokens, of_old()) == "ann", "nobody has asked yet"
        await asyncio.sleep(12)
        assert await outcome(tokens, of_old()) == "UNAUTHENTICATED"
        assert await outcome(tokens, of_new()) == "ann"


@in_virtual_time
async def test_a_known_token_is_not_looked_at_again_when_its_key_is_listed_again() -> None:
    provider, telemetry = Provider(OLD), Telemetry()
    async with authenticator(provider, issuer(refresh=100.0), telemetry=telemetry) as tokens:
        for _ in range(5):
            assert await outcome(tokens, of_old()) == "ann"
            await asyncio.sleep(100)
    assert provider.asked > 4
    counted = {each: telemetry.metrics.authentications.labels(each)._value.get() for each in ("verified", "known")}
    assert counted == {"verified": 1, "known": 4}


@in_virtual_time
async def test_a_name_that_gets_another_key_is_that_key_s_from_then_on() -> None:
    provider = Provider(jwk(rsa_key(1), "old"))
    async with authenticator(provider, issuer(refresh=10.0)) as tokens:
        assert await outcome(tokens, of_old()) == "ann"
        provider.lists(jwk(rsa_key(2), "old"))
        await asyncio.sleep(11)
        assert await outcome(tokens, of_old()) == "UNAUTHENTICATED"
        assert await outcome(tokens, token(claims(**LONG), key=rsa_key(2), kid="old")) == "ann"


@in_virtual_time
async def test_an_issuer_that_lists_nothing_has_no_keys() -> None:
    provider = Provider(OLD)
    async with authenticator(provider, issuer(refresh=10.0)) as tokens:
        assert await outcome(tokens, of_old()) == "ann"
        provider.lists()
        await asyncio.sleep(11)
        assert await outcome(tokens, of_old()) == "UNAUTHENTICATED"


# -- outage ------------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_it_starts_while_the_issuer_is_dead_and_says_that_it_cannot_tell_until_it_answers() -> None:
    provider = Provider(OLD)
    provider.is_dead = True
    async with authenticator(provider) as tokens:
        await asyncio.sleep(1)
        with pytest.raises(AuthenticationUnavailable) as caught:
            await tokens.authenticate(bearer(of_old()))
        assert (caught.value.status, caught.value.retryable) == (503, True)
        provider.is_dead = False
        await asyncio.sleep(10)
        assert await outcome(tokens, of_old()) == "ann"


@in_virtual_time
async def test_while_the_issuer_is_silent_its_last_word_is_good_for_as_long_as_the_settings_say() -> None:
    provider = Provider(OLD)
    async with authenticator(provider, issuer(refresh=100.0, stale=1000.0)) as tokens:
        assert await outcome(tokens, of_old()) == "ann"
        provider.is_dead = True
        await asyncio.sleep(990)
        assert await outcome(tokens, of_old()) == "ann"
        assert await outcome(tokens, token(claims(sub="bob", **LONG), key=rsa_key(1), kid="old")) == "bob"
        assert await outcome(tokens, forged("x")) == "AUTHENTICATION_UNAVAILABLE", "it may be a key that is new"
        await asyncio.sleep(20)
        assert await outcome(tokens, of_old()) == "AUTHENTICATION_UNAVAILABLE", "a token that is known is no better"
        provider.is_dead = False
        await asyncio.sleep(11)
        assert await outcome(tokens, of_old()) == "ann"


@in_virtual_time
async def test_what_is_no_key_set_is_silence_and_keeps_the_keys() -> None:
    provider = Provider(OLD)
    async with authenticator(provider, issuer(refresh=10.0)) as tokens:
        assert await outcome(tokens, of_old()) == "ann"
        for body in (b"", b"<html>", b"[]", b'{"keys": 1}', b"null", b"\xff", b'{"keys": [' * 5_000):
            provider.body = body
            await asyncio.sleep(11)
            assert await outcome(tokens, of_old()) == "ann"


@in_virtual_time
async def test_an_outage_is_told_once_and_its_end_asks_again_soon() -> None:
    provider, lines = Provider(OLD), StringIO()
    provider.is_dead = True
    async with authenticator(provider, telemetry=Telemetry(log=json_log(lines))):
        await asyncio.sleep(600)
    assert lines.getvalue().count("no keys of an issuer") == 1
    assert 55 <= provider.asked <= 70


# -- names that nobody has ---------------------------------------------------------------------------------------------


@in_virtual_time
async def test_invented_names_make_the_issuer_be_asked_once_in_a_cooldown() -> None:
    provider = Provider(OLD)
    async with authenticator(provider, issuer(cooldown=10.0, refresh=10_000.0, stale=10_000.0)) as tokens:
        await outcome(tokens, of_old())
        for second in range(100):
            assert await outcome(tokens, forged(f"name-{second}")) == "UNAUTHENTICATED"
            await asyncio.sleep(1)
        assert provider.asked == 10


@in_virtual_time
async def test_all_who_wait_share_one_question_and_who_has_a_known_key_does_not_wait() -> None:
    provider = Provider(OLD)
    async with authenticator(provider) as tokens:
        await outcome(tokens, of_old())
        await asyncio.sleep(60)
        provider.takes = 1.0
        waiting = [asyncio.create_task(outcome(tokens, forged(f"name-{number}"))) for number in range(50)]
        await asyncio.sleep(0)
        began = now()
        assert await outcome(tokens, token(claims(sub="bob", **LONG), key=rsa_key(1), kid="old")) == "bob"
        assert now() == began
        assert set(await asyncio.gather(*waiting)) == {"UNAUTHENTICATED"}
        assert (now() - began, provider.asked) == (1.0, 2)


@in_virtual_time
async def test_nobody_waits_longer_than_a_moment_and_no_more_than_so_many_wait() -> None:
    provider = Provider(OLD)
    provider.takes = 9.0
    async with authenticator(provider) as tokens:
        began = now()
        waiting = [asyncio.create_task(outcome(tokens, of_old())) for _ in range(module.MAX_WAITING)]
        await asyncio.sleep(0)
        assert await outcome(tokens, of_old()) == "AUTHENTICATION_UNAVAILABLE"
        assert now() == began
        assert set(await asyncio.gather(*waiting)) == {"AUTHENTICATION_UNAVAILABLE"}
        assert now() - began == module.PATIENCE
        await asyncio.sleep(8)
        assert await outcome(tokens, of_old()) == "ann"


@in_virtual_time
async def test_who_stops_waiting_does_not_end_the_question_of_the_others() -> None:
    provider = Provider(OLD)
    provider.takes = 1.0
    async with authenticator(provider) as tokens:
        one, other = (asyncio.create_task(outcome(tokens, of_old())) for _ in range(2))
        await asyncio.sleep(0.5)
        one.cancel()
        assert await other == "ann"


@in_virtual_time
async def test_what_would_be_refused_anyway_asks_nobody_for_keys() -> None:
    provider = Provider(OLD)
    async with authenticator(provider) as tokens:
        await outcome(tokens, of_old())
        await asyncio.sleep(60)
        for said in (claims(exp=1), claims(aud="other"), claims(iss="other")):
            assert await outcome(tokens, token(said, kid="invented")) == "UNAUTHENTICATED"
        assert await outcome(tokens, token(algorithm="RS512", kid="invented")) == "UNAUTHENTICATED"
        assert provider.asked == 1


@in_virtual_time
async def test_nothing_is_left_when_it_ends() -> None:
    provider = Provider(OLD)
    before = asyncio.all_tasks()
    async with authenticator(provider):
        provider.takes = 100.0
        await asyncio.sleep(700)
    assert asyncio.all_tasks() == before


# -- which keys are used -----------------------------------------------------------------------------------------------

UNFIT: dict[str, dict[str, Any]] = {
    "for encryption": jwk(rsa_key(), "x", use="enc"),
    "for wrapping": jwk(rsa_key(), "x", key_ops=["wrapKey"]),
    "of an algorithm that is not pinned": jwk(rsa_key(), "x", alg="RS512"),
    "a secret": {"kty": "oct", "k": "c2VjcmV0", "kid": "x", "alg": "HS256"},
    "private": {**jwk(ec_key(), "x"), "d": "AAAA"},
    "short": jwk(rsa_key(5, 1024), "x"),
    "of no type": {"kid": "x"},
    "of a type that is no text": {"kty": ["RSA"], "kid": "x"},
    "a curve of another": {**jwk(ec_key(), "x"), "crv": "secp256k1"},
    "not on its curve": {**jwk(ec_key(), "x"), "y": jwk(ec_key(), "x")["x"]},
    "without a modulus": {"kty": "RSA", "e": "AQAB", "kid": "x"},
    "a modulus that is no text": {"kty": "RSA", "e": "AQAB", "n": 1, "kid": "x"},
    "named by a number": {**jwk(rsa_key()), "kid": 1},
}


@pytest.mark.parametrize("unfit", UNFIT.values(), ids=UNFIT.keys())
def test_a_key_that_is_unfit_is_left_out_and_spoils_no_other(unfit: dict[str, Any]) -> None:
    found = keys_of(jwks(unfit, OLD), algorithms=("RS256", "ES256", "EdDSA"))
    assert [each.kid for each in found.found] == ["old"]
    assert found.left_out == 1


def test_a_curve_s_key_is_for_one_algorithm_and_one_of_rsa_for_those_that_are_pinned() -> None:
    found = keys_of(jwks(jwk(rsa_key(), "r"), jwk(ec_key(), "e")), algorithms=("RS256", "PS512", "ES256", "ES384"))
    assert [each.algorithms for each in found.found] == [("RS256", "PS512"), ("ES256",)]


def test_two_keys_of_one_name_are_nobody_s_and_without_a_name_only_a_single_key_is_meant() -> None:
    found = keys_of(jwks(jwk(rsa_key(1), "a"), jwk(rsa_key(2), "a"), jwk(ec_key(), "a")), algorithms=("RS256", "ES256"))
    assert found.named("a", "RS256") is None
    assert found.named(None, "RS256") is None
    assert found.named(None, "ES256") is found.named("a", "ES256") is not None


def test_no_more_keys_are_read_than_an_issuer_has() -> None:
    found = keys_of(jwks(*(jwk(ec_key(), str(number)) for number in range(MAX_KEYS + 5))), algorithms=("ES256",))
    assert (len(found.found), found.left_out) == (MAX_KEYS, 5)


async def test_keys_may_stand_in_a_file_which_is_read_again(tmp_path: Any) -> None:
    file = tmp_path / "keys.json"
    source = FileOfKeys(file)
    with pytest.raises(OSError, match="No such file"):
        await source.read()
    file.write_bytes(jwks(OLD))
    assert len(keys_of(await source.read(), algorithms=("RS256",)).found) == 1
    file.write_bytes(b"x" * (module.MAX_KEY_SET + 1))
    with pytest.raises(KeysUnreadable):
        await source.read()


@in_virtual_time
async def test_neither_a_key_nor_a_set_of_them_shows_more_than_names() -> None:
    keys = KeySet(issuer(), Provider(OLD), clock=VirtualClock(), telemetry=Telemetry(), random=lambda: 0.0)
    assert repr(keys) == "<KeySet https://login.example/shop 0 keys, never fetched>"
    async with keys:
        found = await keys.find("old", "RS256")
    assert repr(found) == "Key(kid='old')"
    assert repr(keys) == "<KeySet https://login.example/shop 1 keys, fetched>"


@in_virtual_time
async def test_an_unknown_token_of_a_static_kind_asks_no_issuer() -> None:
    provider = Provider(OLD)
    async with authenticator(provider) as tokens:
        await asyncio.sleep(60)
        with pytest.raises(Unauthenticated):
            await tokens.authenticate(bearer("demo-customer"))
        assert provider.asked == 1
