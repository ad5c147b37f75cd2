"""[identity], as it is written: what cannot be kept to is refused when it is read, with a remedy and without a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.edge import hashed
from gateway.settings import Settings

SECRET = "s3cret" * 6
ISSUER: dict[str, Any] = {"issuer": "https://login.example", "audience": "sagaql", "jwks": "https://login.example/keys"}
OTHER: dict[str, Any] = {**ISSUER, "issuer": "https://partner.example", "tenant": "partner"}
PROXY: dict[str, Any] = {"names": "proxy.shop", "subject_header": "x-subject"}
TLS: dict[str, Any] = {"tls_certificate": "a.pem", "tls_key": "a.key", "tls_client_ca": "ca.pem"}


def built(server: dict[str, Any] | None = None, **identity: Any) -> Settings:
    return Settings.within(Path.cwd(), {"identity": identity, "server": server or {}})


def refusal(server: dict[str, Any] | None = None, **identity: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        built(server, **identity)
    problems = caught.value.errors(include_input=False, include_url=False)
    return " | ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems)


TOKENS: dict[str, tuple[dict[str, Any], str]] = {
    "neither token nor hash": ({"subject": "a"}, "write either token or sha256"),
    "both": ({"token": SECRET, "sha256": hashed(SECRET), "subject": "a"}, "write either token or sha256"),
    "an empty token": ({"token": "", "subject": "a"}, "at least 1 item"),
    "a hash that is cut off": ({"sha256": hashed(SECRET)[:-1], "subject": "a"}, "at least 64 items"),
    "a hash that is none": ({"sha256": "x" * 64, "subject": "a"}, "it is 64 hexadecimal digits"),
    "no subject": ({"token": SECRET}, "subject"),
    "an empty subject": ({"token": SECRET, "subject": ""}, "at least 1 character"),
    "a subject that nobody can read": ({"token": SECRET, "subject": "a\n"}, "1 to 255 printable characters"),
    "a tenant that is too long": (
        {"token": SECRET, "subject": "a", "tenant": "t" * 256},
        "1 to 255 printable characters",
    ),
    "the caller without credentials": ({"token": SECRET, "subject": "anonymous"}, "is the caller without credentials"),
    "a scope of two words": ({"token": SECRET, "subject": "a", "scopes": ["a b"]}, "scopes"),
    "a setting that does not exist": ({"token": SECRET, "subject": "a", "role": "x"}, "role"),
}


@pytest.mark.parametrize(("token", "why"), TOKENS.values(), ids=TOKENS.keys())
def test_a_static_token_that_cannot_be_is_refused(token: dict[str, Any], why: str) -> None:
    assert why in (said := refusal(tokens=[token]))
    assert SECRET not in said
    assert hashed(SECRET)[:-1] not in said


def test_tokens_are_one_each_and_no_longer_than_what_is_read() -> None:
    twice = [{"token": SECRET, "subject": "a"}, {"sha256": hashed(SECRET).upper(), "subject": "b"}]
    assert "tokens[0] and tokens[1] are the same token" in refusal(tokens=twice)
    assert "tokens[0] is longer than max_token" in refusal(tokens=[{"token": SECRET * 2, "subject": "a"}], max_token=64)
    assert "max_token" in refusal(max_token=63)


ISSUERS: dict[str, tuple[dict[str, Any], str]] = {
    "without a name": ({"issuer": ""}, "at least 1 character"),
    "for anybody": ({"audience": []}, "audience"),
    "for nobody": ({"audience": [""]}, "audience must be given"),
    "a shared secret": ({"algorithms": ["HS256"]}, "whoever can verify a token can make one"),
    "no signature": ({"algorithms": ["none"]}, "algorithms must be some of RS256"),
    "no algorithm": ({"algorithms": []}, "algorithms must be some of RS256"),
    "no place for keys": ({"jwks": ""}, "at least 1 character"),
    "keys by plain http": ({"jwks": "http://login.example/keys"}, "jwks must be an https address"),
    "keys by another scheme": ({"jwks": "file:///etc/keys"}, "names no host"),
    "keys by ftp": ({"jwks": "ftp://login.example/keys"}, "jwks must be an https address"),
    "an address with a password": ({"jwks": f"https://u:{SECRET}@login.example/keys"}, "jwks holds credentials"),
    "an address with a fragment": ({"jwks": "https://login.example/keys#one"}, "jwks holds credentials or a fragment"),
    "an address that is none": ({"jwks": "https://[::1/keys"}, "jwks is no address"),
    "a port that is none": ({"jwks": "https://login.example:port/keys"}, "jwks is no address"),
    "tenants that no claim names": ({"tenants": ["a"]}, "give both, or neither"),
    "clocks that are broken": ({"leeway": "301s"}, "leeway must be at most 300 s"),
    "a clock that goes backwards": ({"leeway": -1}, "leeway"),
    "looks that come too often": ({"refresh": "9s", "cooldown": "5s"}, "refresh must be at least 10 s"),
    "keys that go before they are renewed": ({"refresh": "1h", "stale": "59m"}, "stale must be at least refresh"),
    "a question for each forged token": ({"cooldown": "0.5s"}, "cooldown must be at least 1 s"),
    "questions that are too seldom": ({"cooldown": "11m"}, "at most refresh"),
    "a claim without a name": ({"subject_claim": ""}, "subject_claim"),
}


@pytest.mark.parametrize(("other", "why"), ISSUERS.values(), ids=ISSUERS.keys())
def test_an_issuer_that_cannot_be_kept_to_is_refused(other: dict[str, Any], why: str) -> None:
    assert why in (said := refusal(issuers=[{**ISSUER, **other}]))
    assert SECRET not in said


@pytest.mark.parametrize("jwks", ["keys.json", "http://127.0.0.1:1/keys", "http://localhost/keys", "http://[::1]/keys"])
def test_keys_may_be_in_a_file_and_on_this_machine_they_may_come_plain(jwks: str) -> None:
    assert built(issuers=[{**ISSUER, "jwks": jwks}]).identity.issuers[0].rules().jwks == jwks


APART: dict[str, tuple[list[dict[str, Any]], str]] = {
    "one name": ([ISSUER, {**ISSUER, "tenant": "b"}], "two issuers have the same name"),
    "one tenant": ([ISSUER, {**OTHER, "tenant": "public"}], "are both of the tenant 'public'"),
    "any tenant": ([ISSUER, {**OTHER, "tenant_claim": "org"}], "may name any tenant"),
    "a tenant of both": (
        [{**ISSUER, "tenant_claim": "org", "tenants": ["a", "b"]}, {**OTHER, "tenant_claim": "org", "tenants": ["b"]}],
        "are both of the tenant 'b'",
    ),
}


@pytest.mark.parametrize(("issuers", "why"), APART.values(), ids=APART.keys())
def test_two_issuers_that_could_mean_one_caller_are_refused(issuers: list[dict[str, Any]], why: str) -> None:
    assert why in refusal(issuers=issuers)


def test_issuers_of_different_tenants_stand_beside_one_another() -> None:
    found = built(issuers=[ISSUER, {**OTHER, "tenant_claim": "org", "tenants": ["a", "b"]}]).identity.issuers
    assert [each.rules().nameable for each in found] == [frozenset({"public"}), frozenset({"a", "b"})]


PROXIES: dict[str, tuple[dict[str, Any], str]] = {
    "nobody": ({"names": []}, "names"),
    "a name that is empty": ({"names": [""]}, "name the certificates of the proxies"),
    "one header for two things": ({"tenant_header": "X-Subject"}, "two of the headers have one name"),
    "a header that is none": ({"subject_header": "x subject"}, "x subject"),
    "a header that is ours": ({"subject_header": "Content-Length"}, "content-length"),
    "no header": ({"subject_header": ""}, "at least 1 character"),
}


@pytest.mark.parametrize(("other", "why"), PROXIES.values(), ids=PROXIES.keys())
def test_a_proxy_that_cannot_be_believed_is_refused(other: dict[str, Any], why: str) -> None:
    assert why in refusal(TLS, proxy={**PROXY, **other})


def test_a_proxy_is_believed_for_its_certificate_only() -> None:
    assert "anybody could say what the proxy says" in refusal(proxy=PROXY)
    assert built(TLS, proxy=PROXY).identity.proxy is not None
