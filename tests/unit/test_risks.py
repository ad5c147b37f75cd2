"""Risks: each appears when its setting is bad and vanishes when it is mended; a gateway that is sound has none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from demo.people import OPERATOR, PEOPLE
from gateway.edge import hashed
from gateway.risks import PUBLISHED, RULES, Level, idle_acceptances, risks
from gateway.settings import Settings, load_settings
from gateway.settings.sources import merged

ROOT = Path(__file__).resolve().parents[2]
DIGEST = "0123456789abcdef" * 4
KEY = "ed25519-secret:" + "A" * 43

SOUND: Mapping[str, Any] = {
    "profile": "production",
    "graph": {"mutation": "mutations:Mutation"},
    "server": {
        "host": "0.0.0.0",
        "workers": 2,
        "drain_delay": "10s",
        "tls_certificate": "here.pem",
        "tls_key": "here.key",
        "cors_origins": ["https://app.example"],
    },
    "admin": {"port": 9000, "host": "0.0.0.0", "tls": True, "sha256": DIGEST},
    "operation": {"trusted": "operations", "trusted_only": True},
    "limits": {"rate": 1_000},
    "services": {"catalog": {"url": "https://catalog", "set_headers": {"x-api-key": "k"}}},
    "shared": {"url": "rediss://user:word@store:6379/0"},
    "sagas": {"journal": "/var/lib/sagaql/journal.sqlite3", "signing_key": KEY},
    "identity": {
        "tokens": [{"sha256": DIGEST, "subject": "robot"}],
        "issuers": [{"issuer": "https://id", "audience": "shop", "jwks": "https://id/keys", "typ": "at+jwt"}],
    },
}
"""Without a risk: a certificate, known callers, trusted documents, encrypted services."""

DANGER, WARNING = Level.DANGER, Level.WARNING
COSTLY = {"operation": {"trusted_only": False, "cost": "enforce", "max_cost": 100}}

BAD: list[tuple[Mapping[str, Any], list[tuple[Level, str]]]] = [
    ({"identity": {"tokens": [], "issuers": []}}, [(DANGER, "identity")]),
    ({"identity": {"tokens": [{"token": "demo", "subject": "s"}]}}, [(DANGER, "identity.tokens[0].token")]),
    (
        {
            "identity": {"tokens": [{"sha256": hashed(OPERATOR.token), "subject": "s"}]},
            "admin": {"sha256": hashed(OPERATOR.token)},
        },
        [(DANGER, "identity.tokens[0].sha256"), (DANGER, "admin.sha256")],
    ),
    (
        {"identity": {"issuers": [{"issuer": "https://id", "audience": "shop", "jwks": "https://id/keys"}]}},
        [(WARNING, "identity.issuers[0].typ")],
    ),
    (
        {"server": {"tls_certificate": None, "tls_key": None}, "admin": {"tls": False}},
        [(DANGER, "server.tls_certificate"), (WARNING, "admin.tls")],
    ),
    ({"server": {"cors_origins": ["*"]}}, [(WARNING, "server.cors_origins")]),
    ({"server": {"cors_origins": ["http://app.example"]}}, [(WARNING, "server.cors_origins")]),
    ({"server": {"csrf_prevention": False}}, [(DANGER, "server.csrf_prevention")]),
    ({"admin": {"port": None}}, [(WARNING, "admin.port")]),
    ({"admin": {"tls": False}}, [(WARNING, "admin.tls")]),
    ({"server": {"graphiql": True}}, [(WARNING, "server.graphiql")]),
    ({"operation": {"introspection": True}}, [(WARNING, "operation.introspection")]),
    (
        {"operation": {"introspection": True, "suggestions": True}},
        [(WARNING, "operation.introspection"), (WARNING, "operation.suggestions")],
    ),
    ({"operation": {"explain_scope": ""}}, [(DANGER, "operation.explain_scope")]),
    (COSTLY, [(WARNING, "operation.trusted_only")]),
    (
        {"operation": {"trusted_only": False, "cost": "measure"}},
        [(WARNING, "operation.trusted_only"), (WARNING, "operation.cost")],
    ),
    ({"limits": {"rate": None}}, [(WARNING, "limits.rate")]),
    ({"overload": {"adaptive": False}}, [(WARNING, "overload.adaptive")]),
    ({"overload": {"shed_early": False}}, [(WARNING, "overload.shed_early")]),
    ({"server": {"drain_delay": 0}}, [(WARNING, "server.drain_delay")]),
    ({"server": {"workers": 1}}, [(WARNING, "server.workers")]),
    ({"services": {"catalog": {"url": "http://catalog"}}}, [(DANGER, "services.catalog.url")]),
    (
        {"services": {"catalog": {"fallback": ["https://far", "http://farther"]}}},
        [(DANGER, "services.catalog.fallback")],
    ),
    ({"services": {"stock": {"instances": ["http://a", "https://b"]}}}, [(WARNING, "services.stock.instances")]),
    (
        {"services": {"stock": {"url": "http://a", "identity_headers": {"x-user": "subject"}}}},
        [(DANGER, "services.stock.url")],
    ),
    (
        {"services": {"stock": {"url": "http://a", "send_headers": ["authorization"]}}},
        [(DANGER, "services.stock.url")],
    ),
    ({"services": {"catalog": {"faults": {"error": 0.5}}}}, [(DANGER, "services.catalog.faults")]),
    ({"operation": {"game_day_key": DIGEST}}, [(WARNING, "operation.game_day_key")]),
    ({"shared": {"url": "redis://user:word@store"}}, [(DANGER, "shared.url")]),
    ({"shared": {"url": "rediss://store"}}, [(DANGER, "shared.url")]),
    ({"sagas": {"journal": "journal.sqlite3"}}, [(WARNING, "sagas.journal")]),
    ({"sagas": {"signing_key": None}}, [(WARNING, "sagas.signing_key")]),
]
"""What is changed in a sound gateway, and what it then risks."""

IN_FILE = """
operation.game_day_key = "0123456789abcdef0123456789abcdef"
shared.url = "redis://:word@127.0.0.1"
[admin]
port = 9000
token = "0123456789abcdef0123456789abcdef"
[sagas]
signing_key = "ed25519-secret:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
secret_key = "dGhlIGRlbW8ncyBrZXk6IGtub3duIHRvIGFsbCAhISE="
old_secret_keys = ["b2xkIGtleXMgYXJlIG9ubHkgZ29vZCBmb3Igb3Blbi4="]
[services.catalog]
url = "https://catalog"
set_headers = { x-api-key = "k", x-source = "gateway" }
[[identity.tokens]]
token = "0123456789abcdef0123456789abcdef"
subject = "robot"
[[identity.tokens]]
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
subject = "another"
"""
"""Everything that is secret, written down; what is none, beside it."""


def built(*layers: Mapping[str, Any]) -> Settings:
    return Settings.within(Path.cwd(), merged(SOUND, *layers))


def told(settings: Settings) -> list[tuple[Level, str]]:
    return [(risk.level, risk.setting) for risk in risks(settings)]


def test_a_sound_gateway_has_none() -> None:
    assert told(built()) == []


@pytest.mark.parametrize(("change", "expected"), BAD, ids=[", ".join(name for _, name in each) for _, each in BAD])
def test_a_risk_is_there_when_its_setting_is_bad_and_no_other_is(
    change: Mapping[str, Any], expected: list[tuple[Level, str]]
) -> None:
    assert told(built(change)) == expected


def test_what_is_published_is_what_the_demos_people_show() -> None:
    assert {hashed(person.token) for person in PEOPLE} == PUBLISHED


def test_every_rule_is_broken_by_some_setting_here(tmp_path: Path) -> None:
    written = loaded(tmp_path, IN_FILE)
    broken = [*(built(change) for change, _ in BAD), written]

    assert [rule.consequence for rule in RULES if not any(any(rule.where(each)) for each in broken)] == []


def test_the_gravest_come_first() -> None:
    levels = [level for level, _ in told(built({"server": {"graphiql": True}}, {"operation": {"explain_scope": ""}}))]

    assert levels == [DANGER, WARNING]


# -- what is no risk ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {
            "server": {"host": "127.0.0.1", "tls_certificate": None, "tls_key": None},
            "admin": {"tls": False, "host": "::1"},
        },
        {"server": {"cors_origins": ["http://localhost:3000"]}},
        {"services": {"catalog": {"url": "http://127.0.0.1:9001"}}},
        {"services": {"found": {}}},
        {"shared": {"url": "redis://127.0.0.1"}},
        {"graph": {"mutation": None}, "sagas": {"journal": "journal.sqlite3", "signing_key": None}},
        {"operation": {"suggestions": True}},
    ],
)
def test_what_nobody_else_reaches_or_nothing_uses_is_no_risk(change: Mapping[str, Any]) -> None:
    assert told(built(change)) == []


# -- what stands in the file -------------------------------------------------------------------------------------------


def loaded(folder: Path, toml: str, **environ: str) -> Settings:
    file = folder / "gateway.toml"
    file.write_text(f'profile = "production"\n{toml}', encoding="utf-8")
    return load_settings(file, environ=environ)


def in_file(settings: Settings) -> list[str]:
    return [risk.setting for risk in risks(settings) if "stands in the file" in risk.consequence]


def test_every_secret_that_stands_in_the_file_is_a_danger_and_a_digest_is_none(tmp_path: Path) -> None:
    assert in_file(loaded(tmp_path, IN_FILE)) == [
        "identity.tokens[0].token",
        "admin.token",
        "operation.game_day_key",
        "sagas.signing_key",
        "sagas.secret_key",
        "sagas.old_secret_keys[0]",
        "shared.url",
        "services.catalog.set_headers.x-api-key",
    ]


def test_a_secret_of_the_environment_is_none(tmp_path: Path) -> None:
    toml = 'services.catalog = { url = "https://c", set_headers = { x-api-key = "${API_KEY}" } }'

    assert in_file(loaded(tmp_path, toml, API_KEY="k")) == []


def test_what_the_file_falls_back_to_is_written_down_too(tmp_path: Path) -> None:
    toml = 'sagas.secret_key = "${KEY:-dGhlIGRlbW8ncyBrZXk6IGtub3duIHRvIGFsbCAhISE=}"'

    assert in_file(loaded(tmp_path, toml)) == ["sagas.secret_key"]
    assert in_file(loaded(tmp_path, toml, KEY="b2xkIGtleXMgYXJlIG9ubHkgZ29vZCBmb3Igb3Blbi4=")) == []


# -- what is borne -----------------------------------------------------------------------------------------------------


def test_what_somebody_has_accepted_is_listed_last_and_is_no_danger_any_more() -> None:
    change = {
        "services": {"catalog": {"url": "http://catalog"}, "stock": {"url": "http://stock"}},
        "operation": {"explain_scope": ""},
        "accepted_risks": ["services.*.url", "server.workers"],
    }

    assert told(built(change)) == [
        (DANGER, "operation.explain_scope"),
        (Level.ACCEPTED, "services.catalog.url"),
        (Level.ACCEPTED, "services.stock.url"),
    ]
    assert idle_acceptances(built(change)) == ["server.workers"]


def test_a_name_with_brackets_is_accepted_as_it_is_listed() -> None:
    change = {
        "identity": {"tokens": [{"token": "demo", "subject": "s"}]},
        "accepted_risks": ["identity.tokens[0].token"],
    }

    assert told(built(change)) == [(Level.ACCEPTED, "identity.tokens[0].token")]


# -- words -------------------------------------------------------------------------------------------------------------


def test_the_shop_of_the_demo_is_not_for_production() -> None:
    settings = load_settings(ROOT / "gateway.toml", environ={"SAGAQL_PROFILE": "production"})

    dangers = {risk.setting for risk in risks(settings) if risk.level is DANGER}
    assert {"identity.tokens[0].sha256", "admin.sha256", "sagas.secret_key"} <= dangers


def test_each_rule_says_what_may_happen_and_what_to_do_in_one_line() -> None:
    for rule in RULES:
        assert rule.consequence
        assert rule.remedy
        assert "\n" not in rule.consequence + rule.remedy
        assert not rule.consequence.endswith(".")
