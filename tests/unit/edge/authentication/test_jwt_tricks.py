"""Tricks with tokens, each by name, with the reason for which it is refused; and what is not a trick, though it looks odd.

Every token here is signed as it should be, unless the trick is the signature: so it is the trick that is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import Epoch
from gateway.edge.authentication import BearerTokens, Issuer
from gateway.edge.authentication.jwt import TokenRefused, Why, ensure_acceptable, read, verified
from gateway.edge.authentication.keys import keys_of
from gateway.errors import Unauthenticated
from gateway.identity import Identity
from gateway.telemetry import Telemetry
from gateway.testing import run_virtual
from tests.tokens import (
    NOW,
    Provider,
    authenticator,
    bearer,
    claims,
    ec_key,
    ed_key,
    encoded,
    issuer,
    jwk,
    rsa_key,
    signed,
    token,
)

MORE = ("RS256", "PS256", "ES256", "EdDSA")
KEYS = (jwk(rsa_key(), "one"), jwk(ec_key(), "two"), jwk(ed_key(), "three"))
OTHER = rsa_key(9)


def judged(text: str, rules: Issuer | None = None) -> Identity | Why:
    """Who the token's holder is; or why it is refused."""
    telemetry = Telemetry()

    async def asked() -> Identity | Why:
        async with authenticator(Provider(*KEYS), rules or issuer(algorithms=MORE), telemetry=telemetry) as tokens:
            try:
                return await tokens.authenticate(bearer(text))
            except Unauthenticated as error:
                texts.add(error.message)
                return reason(telemetry)

    return run_virtual(asked())


texts: set[str] = set()


def reason(telemetry: Telemetry) -> Why:
    samples = next(iter(telemetry.metrics.authentications.collect())).samples
    (label,) = [each.labels["outcome"] for each in samples if each.name.endswith("_total") and each.value]
    return Why(label.removeprefix("refused_"))


def public_pem() -> bytes:
    return rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def by_secret(secret: bytes, *, algorithm: str = "HS256", **header: Any) -> str:
    head = json.dumps({"alg": algorithm, "kid": "one", **header})
    message = f"{encoded(head.encode())}.{encoded(json.dumps(claims()).encode())}"
    mac = HMAC(secret, SHA256())
    mac.update(message.encode())
    return f"{message}.{encoded(mac.finalize())}"


def unsigned(algorithm: str, signature: str = "") -> str:
    head = json.dumps({"alg": algorithm, "kid": "one"})
    return f"{encoded(head.encode())}.{encoded(json.dumps(claims()).encode())}.{signature}"


def re_signed(text: str, **header: Any) -> str:
    """The claims of one header under the signature of another: both by a stranger's key."""
    return token(claims(), key=OTHER, header=header)


def respelled(text: str) -> str:
    """The same bytes in base64 that is not canonical: the bits that a last character has left over are set."""
    head, body, signature = text.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spare = len(signature) * 6 % 8
    assert spare, "a signature of 256 bytes ends in a character with bits to spare"
    return f"{head}.{body}.{signature[:-1]}{alphabet[alphabet.index(signature[-1]) + 1]}"


def said(**other: Any) -> str:
    return token(claims(**other))


def as_text(**other: str) -> str:
    """Claims that JSON's own writer would not write: each as it stands."""
    parts = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in claims().items() if name not in other]
    return token("{" + ", ".join([*parts, *(f"{json.dumps(name)}: {value}" for name, value in other.items())]) + "}")


NOTHING = encoded(b"\0" * 64)
GOOD = token()

TRICKS: dict[str, tuple[Callable[[], str], Why]] = {
    # the algorithm
    "none, no signature": (lambda: unsigned("none"), Why.MALFORMED),
    "none, some signature": (lambda: unsigned("none", "AAAA"), Why.ALGORITHM),
    "None": (lambda: unsigned("None", "AAAA"), Why.ALGORITHM),
    "nOnE": (lambda: unsigned("nOnE", "AAAA"), Why.ALGORITHM),
    "an empty algorithm": (lambda: unsigned("", "AAAA"), Why.ALGORITHM),
    "the algorithm is no text": (lambda: token(header='{"alg": ["RS256"], "kid": "one"}'), Why.MALFORMED),
    "no algorithm": (lambda: token(header='{"kid": "one"}'), Why.MALFORMED),
    "HS256 by the public key as PEM": (lambda: by_secret(public_pem()), Why.ALGORITHM),
    "HS256 by the public key's JWK": (lambda: by_secret(json.dumps(KEYS[0]).encode()), Why.ALGORITHM),
    "HS256 by its modulus": (lambda: by_secret(KEYS[0]["n"].encode()), Why.ALGORITHM),
    "HMAC, called RS256": (lambda: by_secret(public_pem(), algorithm="RS256"), Why.SIGNATURE),
    "RS512, which is not pinned": (lambda: token(algorithm="RS512"), Why.ALGORITHM),
    "rs256 in lower case": (lambda: token(header={"alg": "rs256"}), Why.ALGORITHM),
    "a curve's algorithm with a key of RSA": (
        lambda: token(key=ec_key(), algorithm="ES256", kid="one"),
        Why.KEY,
    ),
    "RSA's algorithm with a key of a curve": (lambda: token(kid="two"), Why.KEY),
    "EdDSA with a key of a curve": (lambda: token(key=ed_key(), algorithm="EdDSA", kid="two"), Why.KEY),
    # the key
    "another's key of the same name": (lambda: token(key=OTHER), Why.SIGNATURE),
    "a name that leads to a file": (lambda: token(key=OTHER, kid="../../../../dev/null"), Why.KEY),
    "a name that is SQL": (lambda: token(key=OTHER, kid="one' UNION SELECT 'secret"), Why.KEY),
    "a name that is an address": (lambda: token(key=OTHER, kid="https://evil.example/keys"), Why.KEY),
    "a name that is a command": (lambda: token(key=OTHER, kid="one|curl evil.example"), Why.KEY),
    "a name with a zero byte": (lambda: token(key=OTHER, kid="one\0"), Why.KEY),
    "a name of ten kilobytes": (lambda: token(key=OTHER, kid="k" * 10_240), Why.TOO_LONG),
    "an empty name": (lambda: token(key=OTHER, kid=""), Why.KEY),
    "a name that is a number": (lambda: token(header={"kid": 1}), Why.MALFORMED),
    "a name that is nothing": (lambda: token(header={"kid": None}), Why.MALFORMED),
    "its own key in the header": (lambda: re_signed(GOOD, jwk=jwk(OTHER, "one")), Why.SIGNATURE),
    "its own key, under a new name": (lambda: re_signed(GOOD, jwk=jwk(OTHER, "new"), kid="new"), Why.KEY),
    "where its key is": (lambda: re_signed(GOOD, jku="https://evil.example/keys"), Why.SIGNATURE),
    "where its certificate is": (lambda: re_signed(GOOD, x5u="https://evil.example/cert"), Why.SIGNATURE),
    "its own certificate": (lambda: re_signed(GOOD, x5c=["MIIB"]), Why.SIGNATURE),
    # the signature
    "no signature": (lambda: GOOD.rpartition(".")[0] + ".", Why.MALFORMED),
    "only two parts": (lambda: GOOD.rpartition(".")[0], Why.MALFORMED),
    "half a signature": (lambda: GOOD[:-174], Why.SIGNATURE),
    "an elliptic signature of zeros": (
        lambda: token(key=ec_key(), algorithm="ES256", kid="two").rpartition(".")[0] + "." + NOTHING,
        Why.SIGNATURE,
    ),
    "an elliptic signature as DER": (
        lambda: _with_der_signature(),
        Why.SIGNATURE,
    ),
    "an EdDSA signature of zeros": (
        lambda: token(key=ed_key(), algorithm="EdDSA", kid="three").rpartition(".")[0] + "." + NOTHING,
        Why.SIGNATURE,
    ),
    "other claims under a good signature": (
        lambda: ".".join([GOOD.split(".")[0], encoded(json.dumps(claims(sub="bob")).encode()), GOOD.split(".")[2]]),
        Why.SIGNATURE,
    ),
    "another header under a good signature": (
        lambda: ".".join([encoded(b'{"alg": "PS256", "kid": "one"}'), *GOOD.split(".")[1:]]),
        Why.SIGNATURE,
    ),
    # the header
    "crit with what nobody knows": (lambda: token(header={"crit": ["evil"], "evil": 1}), Why.HEADER),
    "crit that is empty": (lambda: token(header={"crit": []}), Why.HEADER),
    "b64 false, with crit": (lambda: token(header={"crit": ["b64"], "b64": False}), Why.HEADER),
    "b64 false, without": (lambda: token(header={"b64": False}), Why.HEADER),
    "a token in a token": (lambda: token(header={"cty": "JWT"}), Why.HEADER),
    "a token as the claims of a token": (lambda: token(GOOD), Why.MALFORMED),
    "a type that is no text": (lambda: token(header={"typ": 1}), Why.HEADER),
    # the form
    "a name twice in the header": (
        lambda: token(header='{"alg": "RS256", "alg": "RS256", "kid": "one"}'),
        Why.MALFORMED,
    ),
    "a name twice in the claims": (lambda: token(json.dumps(claims())[:-1] + ', "sub": "bob"}'), Why.MALFORMED),
    "a name twice, deep inside": (lambda: as_text(deep='{"a": {"b": 1, "b": 2}}'), Why.MALFORMED),
    "base64 that is not canonical": (lambda: respelled(GOOD), Why.MALFORMED),
    "base64 with padding": (lambda: GOOD + "==", Why.MALFORMED),
    "base64 of the other alphabet": (lambda: GOOD.replace("-", "+").replace("_", "/") + "+", Why.MALFORMED),
    "a line break within": (lambda: GOOD[:40] + "\n" + GOOD[40:], Why.MALFORMED),
    "garbage at the end": (lambda: GOOD + ".AAAA", Why.MALFORMED),
    "garbage after a space": (lambda: GOOD + " x", Why.MALFORMED),
    "garbage after the claims": (lambda: token(json.dumps(claims()) + "{}"), Why.MALFORMED),
    "text that is no UTF-8": (lambda: token('{"sub": "\udcff"}'), Why.MALFORMED),
    "UTF-16": (lambda: f"{encoded('{}'.encode('utf-16'))}.{encoded(b'{}')}.AAAA", Why.MALFORMED),
    "a byte order mark": (lambda: token("\ufeff" + json.dumps(claims())), Why.MALFORMED),
    "letters of another script": (lambda: "Ａ" + GOOD[1:], Why.MALFORMED),
    "claims that are a list": (lambda: token("[]"), Why.MALFORMED),
    "claims that are nothing": (lambda: token("null"), Why.MALFORMED),
    "claims a thousand deep": (lambda: token('{"a":' + "[" * 2_000 + "]" * 2_000 + "}"), Why.MALFORMED),
    "a number of five thousand digits": (lambda: as_text(exp="1" * 5_000), Why.MALFORMED),
    "a megabyte": (lambda: token(claims(padding="x" * 1_000_000)), Why.TOO_LONG),
    "an encrypted token": (lambda: "e30.AAAA.AAAA.AAAA.AAAA", Why.MALFORMED),
    "a token as JSON": (lambda: '{"payload":"e30"}', Why.MALFORMED),
    # who it is from, and for
    "another issuer": (lambda: said(iss="https://evil.example"), Why.ISSUER),
    "the issuer with a slash": (lambda: said(iss="https://login.example/shop/"), Why.ISSUER),
    "the issuer as a list": (lambda: as_text(iss='["https://login.example/shop"]'), Why.ISSUER),
    "no issuer": (lambda: said(iss=None), Why.ISSUER),
    "another audience": (lambda: said(aud="other"), Why.AUDIENCE),
    "a longer audience": (lambda: said(aud="sagaql2"), Why.AUDIENCE),
    "a list of other audiences": (lambda: said(aud=["other", "more"]), Why.AUDIENCE),
    "a list that is not all text": (lambda: said(aud=["sagaql", 1]), Why.AUDIENCE),
    "an audience that is an object": (lambda: said(aud={"sagaql": True}), Why.AUDIENCE),
    "an empty list of audiences": (lambda: said(aud=[]), Why.AUDIENCE),
    "no audience": (lambda: said(aud=None), Why.AUDIENCE),
    # when
    "expired": (lambda: said(exp=NOW - 31), Why.EXPIRED),
    "expired to the second": (lambda: said(exp=NOW - 30), Why.EXPIRED),
    "no expiry": (lambda: said(exp=None), Why.EXPIRED),
    "an expiry that is text": (lambda: said(exp=str(NOW + 300)), Why.MALFORMED),
    "an expiry that is true": (lambda: said(exp=True), Why.MALFORMED),
    "an expiry that is nothing": (lambda: as_text(exp="null"), Why.MALFORMED),
    "an expiry that is no number": (lambda: as_text(exp="NaN"), Why.MALFORMED),
    "an expiry that is infinite": (lambda: as_text(exp="Infinity"), Why.MALFORMED),
    "an expiry that becomes infinite": (lambda: as_text(exp="1e400"), Why.MALFORMED),
    "an expiry in ten thousand years": (lambda: said(exp=10**12), Why.MALFORMED),
    "an expiry of four hundred digits": (lambda: said(exp=10**400), Why.MALFORMED),
    "an expiry before 1970": (lambda: said(exp=-1), Why.MALFORMED),
    "not yet": (lambda: said(nbf=NOW + 31), Why.EARLY),
    "issued in the future": (lambda: said(iat=NOW + 31), Why.EARLY),
    "not before a text": (lambda: said(nbf="0"), Why.MALFORMED),
    # whose
    "no subject": (lambda: said(sub=None), Why.CLAIMS),
    "an empty subject": (lambda: said(sub=""), Why.CLAIMS),
    "a subject that is a number": (lambda: said(sub=1), Why.CLAIMS),
    "a subject with a line break": (lambda: said(sub="ann\r\nx-admin: 1"), Why.CLAIMS),
    "a subject that is half a character": (lambda: as_text(sub='"\\ud800"'), Why.CLAIMS),
    "a subject that is too long": (lambda: said(sub="a" * 256), Why.CLAIMS),
    "the anonymous caller": (lambda: said(sub="anonymous"), Why.CLAIMS),
    "scopes that are an object": (lambda: said(scope={"admin": True}), Why.CLAIMS),
    "scopes that are not all text": (lambda: said(scope=["admin", 1]), Why.CLAIMS),
}


def _with_der_signature() -> str:
    head = token(key=ec_key(), algorithm="ES256", kid="two").rpartition(".")[0]
    return f"{head}.{encoded(ec_key().sign(head.encode(), ec.ECDSA(SHA256())))}"


@pytest.mark.parametrize(("trick", "why"), TRICKS.values(), ids=TRICKS.keys())
def test_a_trick_is_refused_for_what_it_is(trick: Callable[[], str], why: Why) -> None:
    assert judged(trick()) is why
    assert texts == {"this token is not known, or no longer valid"}, "nothing is told of the reason"


ANN = Identity("public", "ann", frozenset({"customer", "support"}))

ODD: dict[str, tuple[Callable[[], str], Identity]] = {
    "RS256": (lambda: GOOD, ANN),
    "PS256 by the same key": (lambda: token(algorithm="PS256"), ANN),
    "ES256": (lambda: token(key=ec_key(), algorithm="ES256", kid="two"), ANN),
    "EdDSA": (lambda: token(key=ed_key(), algorithm="EdDSA", kid="three"), ANN),
    "no name, where one key fits": (lambda: token(kid=None), ANN),
    "a list of audiences": (lambda: said(aud=["other", "sagaql"]), ANN),
    "an expiry with a fraction": (lambda: said(exp=NOW + 0.5), ANN),
    "expired within the leeway": (lambda: said(exp=NOW - 29), ANN),
    "not yet, within the leeway": (lambda: said(nbf=NOW + 29, iat=NOW + 29), ANN),
    "no scopes": (lambda: said(scope=None), Identity("public", "ann")),
    "a list of scopes, some of which nobody can ask for": (
        lambda: said(scope=["customer", "two words", "a,b", ""]),
        Identity("public", "ann", frozenset({"customer"})),
    ),
    "addresses that nobody looks at": (lambda: token(header={"jku": "https://evil.example", "x5t": "x"}), ANN),
    "a subject in letters of another script": (
        lambda: said(sub="ánn|名"),
        Identity("public", "ánn|名", ANN.scopes),
    ),
}


@pytest.mark.parametrize(("odd", "who"), ODD.values(), ids=ODD.keys())
def test_what_is_only_odd_is_taken(odd: Callable[[], str], who: Identity) -> None:
    assert judged(odd()) == who


def test_a_token_may_have_to_be_of_a_type() -> None:
    rules = issuer(typ="at+jwt")
    assert judged(token(header={"typ": "at+JWT"}), rules) == ANN
    assert judged(token(header={"typ": "application/at+jwt"}), rules) == ANN
    assert judged(token(header={"typ": "JWT"}), rules) is Why.HEADER
    assert judged(token(), rules) is Why.HEADER


def test_claims_are_found_where_the_settings_say() -> None:
    rules = issuer(
        subject_claim=("user", "id"),
        tenant_claim=("https://shop.example/tenant",),
        tenants=frozenset({"acme"}),
        scopes_claim=("realm_access", "roles"),
    )
    said = claims(user={"id": "ann"}, realm_access={"roles": ["customer"]})
    assert judged(token({**said, "https://shop.example/tenant": "acme"}), rules) == Identity(
        "acme", "ann", frozenset({"customer"})
    )
    assert judged(token({**said, "https://shop.example/tenant": "other"}), rules) is Why.CLAIMS
    assert judged(token(said), rules) is Why.CLAIMS, "a token without a tenant is of none"
    assert judged(token({**said, "user": "ann"}), rules) is Why.CLAIMS


def test_a_key_is_for_its_own_algorithm_where_it_names_one() -> None:
    async def asked(tokens: BearerTokens, text: str) -> bool:
        try:
            await tokens.authenticate(bearer(text))
        except Unauthenticated:
            return False
        return True

    async def both() -> list[bool]:
        provider = Provider(jwk(rsa_key(), "one", alg="PS256"))
        async with authenticator(provider, issuer(algorithms=("RS256", "PS256"))) as tokens:
            return [await asked(tokens, token(algorithm=each)) for each in ("PS256", "RS256")]

    assert run_virtual(both()) == [True, False]


KEY_SET = keys_of(json.dumps({"keys": KEYS}).encode(), algorithms=MORE)
BY_ALGORITHM = {
    "RS256": GOOD,
    "ES256": token(key=ec_key(), algorithm="ES256", kid="two"),
    "EdDSA": token(key=ed_key(), algorithm="EdDSA", kid="three"),
}


def holder(text: str) -> Identity:
    """Without the loop: pure. Raises: TokenRefused."""
    rules = issuer(algorithms=MORE)
    unverified = read(text)
    if unverified.issuer != rules.issuer:
        raise TokenRefused(Why.ISSUER)
    ensure_acceptable(unverified, rules, now=Epoch(NOW))
    key = KEY_SET.named(unverified.kid, unverified.algorithm)
    if key is None:
        raise TokenRefused(Why.KEY)
    return verified(unverified, rules, key).identity


@pytest.mark.parametrize("text", BY_ALGORITHM.values(), ids=BY_ALGORITHM.keys())
@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_a_good_token_with_any_bit_turned_is_refused(text: str, data: st.DataObject) -> None:
    assert holder(text).subject == "ann"
    at = data.draw(st.integers(0, len(text) - 1))
    turned = chr(ord(text[at]) ^ 1 << data.draw(st.integers(0, 7)))
    with pytest.raises(TokenRefused):
        holder(text[:at] + turned + text[at + 1 :])


@given(st.one_of(st.text(), st.from_regex(r"[\w-]{0,40}\.[\w-]{0,80}\.[\w-]{0,40}", fullmatch=True)))
@settings(max_examples=400, deadline=None)
def test_whatever_is_no_token_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(TokenRefused):
        holder(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("iss", "aud", "sub", "exp", "nbf", "iat", "scope", "kid", "alg", "typ", "crit", "b64", "cty", "jwk")


@given(st.dictionaries(st.sampled_from(NAMES), json_values, max_size=4), st.booleans())
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_a_well_signed_token_it_is_a_caller_or_a_refusal(
    other: dict[str, Any], in_head: bool
) -> None:
    head = {"alg": "EdDSA", "kid": "three", **(other if in_head else {})}
    message = f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps({**claims(), **({} if in_head else other)}).encode())}"
    try:
        found = holder(f"{message}.{signed(message, ed_key(), 'EdDSA')}")
    except TokenRefused:
        return
    assert 0 < len(found.subject) <= 255
    assert not found.is_anonymous
