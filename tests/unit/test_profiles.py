"""Profiles: what holds where nothing is said, who is asked first, and what dev does not do."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.settings import OperationSettings, ServerSettings, Settings, SettingsInvalid, load_settings
from gateway.settings.profiles import PROFILES, Profile, completed
from gateway.settings.sources import Loc

TOKEN = "0123456789abcdef" * 4
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "production.md"


class Project:
    """A folder with a gateway.toml."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "gateway.toml"

    def load(self, toml: str = "", *, overrides: dict[str, Any] | None = None, **environ: str) -> Settings:
        self.file.write_text(toml, encoding="utf-8")
        return load_settings(self.file, environ=environ, overrides=overrides or {})


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def told(settings: Settings) -> dict[str, object]:
    """What a profile decides, as it holds."""
    server, operation = settings.server, settings.operation
    return {
        "server": {"graphiql": server.graphiql},
        "operation": {
            "introspection": operation.introspection,
            "suggestions": operation.suggestions,
            "explain_scope": operation.explain_scope,
        },
    }


# -- what a profile says -----------------------------------------------------------------------------------------------


def test_nothing_said_is_dev(project: Project) -> None:
    assert project.load().profile == Settings().profile == "dev"


@pytest.mark.parametrize("profile", ["dev", "production"])
def test_a_profile_holds_where_nothing_is_said_however_the_tree_is_built(project: Project, profile: Profile) -> None:
    by_file = project.load(f'profile = "{profile}"')
    by_hand = Settings.within(Path.cwd(), {"profile": profile})
    of_models = Settings.within(
        Path.cwd(), {"profile": profile, "server": ServerSettings(port=1), "operation": OperationSettings()}
    )

    assert told(by_file) == told(by_hand) == told(of_models) == PROFILES[profile]
    assert of_models.server.port == 1


def test_both_profiles_say_the_same_settings_and_say_them_differently() -> None:
    dev, production = PROFILES["dev"], PROFILES["production"]

    assert {name: section.keys() for name, section in dev.items()} == {n: s.keys() for n, s in production.items()}
    assert [name for name, section in dev.items() for key in section if section[key] == production[name][key]] == []


def test_the_guide_has_what_each_profile_says() -> None:
    rows = re.findall(
        r"^\| `([a-z]+)\.([a-z_]+)` \| `(.*)` \| `(.*)` \|$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE
    )

    columns: dict[Profile, int] = {"dev": 2, "production": 3}
    for profile, column in columns.items():
        settings = Settings.within(Path.cwd(), {"profile": profile, **_tree(rows, column)})
        assert told(settings) == PROFILES[profile]
    assert [(section, name) for section, name, _, _ in rows] == [
        (section, name) for section, names in PROFILES["dev"].items() for name in names
    ]


def _tree(rows: list[tuple[str, str, str, str]], column: int) -> dict[str, dict[str, object]]:
    """What a column says, as it would stand in the file."""
    tree: dict[str, dict[str, object]] = {}
    for row in rows:
        tree.setdefault(row[0], {}).update(tomllib.loads(f"{row[1]} = {row[column]}"))
    return tree


@pytest.mark.parametrize("said_in", ["file", "environment", "command line", "models"])
def test_what_is_said_wins_over_the_profile(project: Project, said_in: str) -> None:
    match said_in:
        case "file":
            settings = project.load('profile = "production"\nserver.graphiql = true')
        case "environment":
            settings = project.load('profile = "production"', SAGAQL_SERVER__GRAPHIQL="true")
        case "command line":
            settings = project.load(overrides={"profile": "production", "server": {"graphiql": True}})
        case _:
            settings = Settings.within(Path.cwd(), {"profile": "production", "server": ServerSettings(graphiql=True)})

    assert settings.server.graphiql
    assert not settings.operation.introspection


def test_the_command_line_names_the_profile_before_the_environment_and_that_before_the_file(project: Project) -> None:
    assert project.load('profile = "dev"', SAGAQL_PROFILE="production").profile == "production"
    by_command = project.load('profile = "dev"', overrides={"profile": "dev"}, SAGAQL_PROFILE="production")
    assert by_command.profile == "dev"


def test_a_profile_of_the_command_line_stays_when_the_file_is_read_again(project: Project) -> None:
    settings = project.load('profile = "dev"', overrides={"profile": "production"})

    assert settings.read_again().profile == "production"


def test_a_profile_that_there_is_not_is_refused_with_those_there_are(project: Project) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        project.load(SAGAQL_PROFILE="prod")

    assert caught.value.problems == ["profile is 'prod': it must be 'dev' or 'production' (from SAGAQL_PROFILE)"]


def test_a_section_that_is_no_table_is_left_for_the_tree_to_refuse(project: Project) -> None:
    assert completed({"profile": "production", "server": 5})["server"] == 5
    with pytest.raises(SettingsInvalid, match="server is 5"):
        project.load("server = 5")


# -- this machine only -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "gateway.internal", ""])
def test_dev_listens_to_nobody_elsewhere_and_says_what_to_do(project: Project, host: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        project.load(f'server.host = "{host}"')

    (problem,) = caught.value.problems
    assert problem.startswith(f"server.host is {host!r}, where others reach it")
    assert 'set profile = "production"' in problem
    assert project.load(f'profile = "production"\nserver.host = "{host}"').server.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST"])
def test_dev_listens_on_every_loopback(project: Project, host: str) -> None:
    assert project.load(f'server.host = "{host}"').server.host == host


# -- the port for admins -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "shows"),
    [
        ({}, True),
        ({"admin": {"port": 9000, "token": TOKEN}}, False),
        ({"profile": "production"}, False),
        ({"profile": "production", "admin": {"port": 9000, "token": TOKEN}}, False),
    ],
)
def test_only_dev_without_an_admin_port_shows_itself_to_clients(tree: dict[str, Any], shows: bool) -> None:
    assert Settings.within(Path.cwd(), tree).shows_itself is shows


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        ({"admin": {"port": 9000}}, "port is given, and no token"),
        ({"admin": {"port": 9000, "token": "short"}}, "at least 32"),
        ({"admin": {"port": 9000, "sha256": "z" * 64}}, "sha256 is no SHA-256"),
        ({"admin": {"port": 9000, "token": TOKEN, "sha256": TOKEN}}, "both given"),
        ({"admin": {"port": 8000, "token": TOKEN}}, "and so is server.port"),
        ({"admin": {"port": 9000, "token": TOKEN, "tls": True}}, "there is no server.tls_certificate"),
    ],
)
def test_a_port_for_admins_that_would_let_others_in_is_refused(tree: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Settings.within(Path.cwd(), tree)


def test_an_admin_token_that_is_refused_is_repeated_nowhere(project: Project) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        project.load(SAGAQL_ADMIN__PORT="9000", SAGAQL_ADMIN__TOKEN="hunter2")

    assert caught.value.problems[0].startswith("admin.token does not fit")
    assert "hunter2" not in str(caught.value)


# -- who said it -------------------------------------------------------------------------------------------------------


def test_who_said_a_setting_is_told(project: Project) -> None:
    settings = project.load(
        'profile = "production"\nserver.compress = false\n[[identity.tokens]]\ntoken = "t"\nsubject = "s"',
        overrides={"server": {"host": "127.0.0.2"}},
        SAGAQL_PORT="9000",
        SAGAQL_OPERATION__INTROSPECTION="true",
    )

    paths: dict[Loc, str] = {
        ("server", "host"): "the command line",
        ("server", "port"): "SAGAQL_PORT",
        ("operation", "introspection"): "SAGAQL_OPERATION__INTROSPECTION",
        ("server", "compress"): "gateway.toml",
        ("identity", "tokens", 0, "token"): "gateway.toml",
        ("server", "graphiql"): "profile production",
        ("server", "workers"): "the default",
    }
    assert {path: settings.said_by(path) for path in paths} == paths
    assert Settings().said_by(("server", "host")) == "the code"


def test_a_list_of_the_environment_is_said_whole_by_it(project: Project) -> None:
    settings = project.load(
        '[[identity.tokens]]\ntoken = "t"\nsubject = "s"',
        SAGAQL_IDENTITY__TOKENS='[{"token": "other", "subject": "s"}]',
    )

    assert settings.said_by(("identity", "tokens", 0, "token")) == "SAGAQL_IDENTITY__TOKENS"
    assert not settings.stands_in_file(("identity", "tokens", 0, "token"))


@pytest.mark.parametrize(
    ("written", "stands"),
    [("plain", True), ("${GIVEN}", False), ("${UNSET:-plain}", True), ("${GIVEN:-plain}", False), ("$${plain}", True)],
)
def test_a_text_stands_in_the_file_unless_the_environment_gives_some_of_it(
    project: Project, written: str, stands: bool
) -> None:
    settings = project.load(f'[[identity.tokens]]\ntoken = "{written}"\nsubject = "s"', GIVEN="given")

    assert settings.stands_in_file(("identity", "tokens", 0, "token")) is stands


def test_no_value_is_kept_beside_who_said_it(project: Project) -> None:
    settings = project.load('sagas.secret_key = "${KEY}"', KEY="dGhlIGRlbW8ncyBrZXk6IGtub3duIHRvIGFsbCAhISE=")

    assert "dGhlIGRl" not in repr(settings._origin)
