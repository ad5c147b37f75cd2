"""The command line: what is printed where, and with which exit code."""

from __future__ import annotations

import hashlib
import itertools
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli import app
from gateway.clock import LoopClock
from gateway.demonstration import NoDemonstration, checkout
from gateway.edge import hashed
from gateway.edge.game_day import verified
from gateway.server import PortTaken, hold_port, url_of
from gateway.settings import Settings
from gateway.terminal import FAILED, INVALID

ROOT = Path(__file__).resolve().parents[2]
QUIET_ENVIRONMENT: dict[str, str | None] = dict.fromkeys(
    ("SAGAQL_CONFIG", "SAGAQL_PORT", "SAGAQL_PROFILE", "SAGAQL_SERVER__PORT")
)
GRAPH = '''
"""A graph of one field."""

import strawberry


@strawberry.type
class Query:
    @strawberry.field
    def greeting(self) -> str:
        return "hello"
'''
_numbers = itertools.count()


class Project:
    """A folder with settings and a graph, whose module has a name of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.module = f"greetings_of_test_{next(_numbers)}"
        (folder / f"{self.module}.py").write_text(GRAPH, encoding="utf-8")
        self.settings(f'graph.query = "{self.module}:Query"')

    def settings(self, toml: str) -> None:
        (self.folder / "gateway.toml").write_text(toml, encoding="utf-8")

    def sagaql(self, *arguments: str) -> Result:
        return run(*arguments, "--config", str(self.folder / "gateway.toml"))


def run(*arguments: str) -> Result:
    return CliRunner(env=QUIET_ENVIRONMENT).invoke(app, arguments)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    yield project
    sys.modules.pop(project.module, None)
    sys.path[:] = [entry for entry in sys.path if entry != str(tmp_path)]


TOKEN = "0123456789abcdef" * 2


def hash_token(text: str) -> Result:
    return CliRunner(env=QUIET_ENVIRONMENT).invoke(app, ["hash-token"], input=text)


@pytest.mark.parametrize("text", [TOKEN, f"{TOKEN}\n", f"  {TOKEN}\r\n"])
def test_the_hash_of_a_token_is_what_the_settings_take_and_its_caller_shows_the_token(text: str) -> None:
    printed = hash_token(text)

    assert printed.exit_code == 0
    assert printed.stdout == f"{hashlib.sha256(TOKEN.encode()).hexdigest()}\n"
    tokens = {"tokens": [{"sha256": printed.stdout.strip(), "subject": "robot"}]}
    known = Settings.within(Path.cwd(), {"identity": tokens}).identity.tokens[0]
    assert known.digest == hashed(TOKEN)
    assert TOKEN not in printed.output


@pytest.mark.parametrize("text", ["", "\n", "secret", TOKEN[:-1]])
def test_a_token_that_could_be_found_by_trying_is_not_hashed(text: str) -> None:
    refused = hash_token(text)

    assert refused.exit_code == INVALID
    assert refused.stdout == ""
    assert "fewer than 32 characters" in refused.stderr
    assert "openssl rand -hex 32" in refused.stderr
    assert not text.strip() or text.strip() not in refused.output


def test_without_a_command_it_says_what_there_is() -> None:
    said = run().output

    assert all(command in said for command in ("demo", "serve", "check", "schema", "explain"))


def test_the_version_is_one_line() -> None:
    result = run("--version")

    assert result.exit_code == 0
    assert result.stdout.startswith("sagaql ")
    assert len(result.stdout.splitlines()) == 1


def test_asking_for_help_imports_neither_the_graph_nor_the_server() -> None:
    # Only what this module adds: the package itself lists the author's names, and those are strawberry's.
    ours = "'gateway.app', 'gateway.settings', 'gateway.server', 'gateway.execution', 'gateway.explanation_tree'"
    slow = f"{{{ours}, 'uvicorn', 'pydantic_settings'}} & sys.modules.keys()"
    code = f"import sys, gateway; before = {slow}; import gateway.cli; print(sorted(({slow}) - before))"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )

    assert said.stdout.strip() == "[]"


# -- schema ------------------------------------------------------------------------------------------------------------


def test_the_schema_is_printed_on_standard_output_alone(project: Project) -> None:
    result = project.sagaql("schema")

    assert result.exit_code == 0
    assert "greeting: String!" in result.stdout
    assert result.stderr == ""


def test_the_schema_is_written_where_the_settings_say(project: Project) -> None:
    result = project.sagaql("schema", "--write")

    assert result.exit_code == 0
    assert (project.folder / "schema.graphql").read_text(encoding="utf-8") == project.sagaql("schema").stdout


def test_a_schema_without_a_file_cannot_be_written(project: Project) -> None:
    project.settings(f'graph.query = "{project.module}:Query"\ngraph.sdl = ""')

    result = project.sagaql("schema", "--write")

    assert result.exit_code == INVALID
    assert "graph.sdl names no file" in result.stderr


# -- check -------------------------------------------------------------------------------------------------------------


def test_a_project_that_fits_together_is_summed_up(project: Project) -> None:
    project.sagaql("schema", "--write")

    result = project.sagaql("check")

    assert result.exit_code == 0
    assert "types" in result.stdout
    assert result.stderr == ""


def test_a_missing_schema_file_is_a_mistake_with_a_remedy(project: Project) -> None:
    result = project.sagaql("check")

    assert result.exit_code == FAILED
    assert "sagaql schema --write" in result.stderr


def test_every_mistake_in_the_settings_is_a_line_of_its_own(project: Project) -> None:
    project.settings('server.prot = 1\nserver.drain = "soon"\n[services.stock]\nretry.atempts = 2')

    result = project.sagaql("check")

    assert result.exit_code == FAILED
    assert [line.split()[1] for line in result.stderr.splitlines()] == [
        "server.drain:",
        "server.prot",
        "services.stock.retry.atempts",
    ]


def test_mistakes_in_graph_services_and_schema_are_told_together(project: Project) -> None:
    project.settings(f'graph.query = "{project.module}:Query"\n[services.stock]\n[services.orders]')

    result = project.sagaql("check")

    assert result.exit_code == FAILED
    assert "[services.stock] url, [services.orders] url" in result.stderr
    assert "schema.graphql" in result.stderr


def test_a_graph_that_is_not_there_is_a_sentence(project: Project) -> None:
    project.settings('graph.query = "no_such_module:Query"\ngraph.mutation = "no_other_module:Mutation"')

    result = project.sagaql("check")

    assert result.exit_code == FAILED
    assert "no_such_module" in result.stderr
    assert "no_other_module" in result.stderr


SOUND = """
profile = "production"
graph = { query = "MODULE:Query", sdl = "" }
server = { workers = 2 }
operation = { cost = "enforce", max_cost = 100 }
limits = { rate = 1000 }
accepted_risks = ["operation.trusted_only"]
[admin]
port = 9000
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
[[identity.issuers]]
issuer = "https://id.example"
audience = "shop"
jwks = "https://id.example/keys"
typ = "at+jwt"
"""


def test_risks_are_listed_for_production_each_with_its_level_setting_and_who_said_it(project: Project) -> None:
    project.settings(f'graph = {{ query = "{project.module}:Query", sdl = "" }}\nserver.graphiql = true')

    result = project.sagaql("check", "--profile", "production")

    listed = [line.partition(": ")[0].split(maxsplit=2) for line in result.stdout.splitlines()]
    assert result.exit_code == FAILED
    assert ["danger", "identity", "(the default)"] in listed
    assert ["warning", "server.graphiql", "(gateway.toml)"] in listed
    assert "1 danger, " in result.stdout
    assert "types" in result.stdout


def test_mistakes_do_not_hide_the_risks(project: Project) -> None:
    result = project.sagaql("check", "--profile", "production")

    assert result.exit_code == FAILED
    assert "sagaql schema --write" in result.stderr
    assert "danger   identity" in result.stdout


def test_warnings_and_what_is_accepted_let_production_pass(project: Project) -> None:
    project.settings(SOUND.replace("MODULE", project.module))

    result = project.sagaql("check")

    assert result.exit_code == 0
    assert "accepted operation.trusted_only (the default): " in result.stdout
    assert "0 dangers, 0 warnings" in result.stdout


def test_an_acceptance_of_nothing_is_told(project: Project) -> None:
    sound = SOUND.replace("MODULE", project.module)
    project.settings(sound.replace("trusted_only", "mispelt"))

    result = project.sagaql("check")

    assert "accepted operation.mispelt (gateway.toml): it is no risk here: leave it out" in result.stdout


def test_on_the_machine_of_who_develops_no_risk_is_listed(project: Project) -> None:
    project.settings(f'graph = {{ query = "{project.module}:Query", sdl = "" }}')

    result = project.sagaql("check")

    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)


def test_a_profile_that_there_is_not_is_refused(project: Project) -> None:
    result = project.sagaql("check", "--profile", "prod")

    assert result.exit_code == FAILED
    assert result.stderr == "✗ profile is 'prod': it must be 'dev' or 'production'\n"


def test_no_settings_at_all_is_a_sentence(tmp_path: Path) -> None:
    result = run("check", "--config", str(tmp_path / "gateway.toml"))

    assert result.exit_code == FAILED
    assert "there is no" in result.stderr
    assert "Traceback" not in result.stderr


def test_words_in_brackets_are_printed_and_not_taken_for_colours(project: Project) -> None:
    project.settings("[services.red]\n[services.bold]")

    assert project.sagaql("check").exit_code == FAILED
    project.settings(f'graph.query = "{project.module}:Query"\n[services.bold]')
    assert "[services.bold] url" in project.sagaql("check").stderr


def test_a_traceback_is_shown_to_those_who_ask(tmp_path: Path) -> None:
    missing = ("check", "--config", str(tmp_path / "gateway.toml"))

    assert "Traceback" not in run(*missing).output
    assert "Traceback" in run("--debug", *missing).output


# -- faults ------------------------------------------------------------------------------------------------------------

KEY = "a-key-of-thirty-two-characters-or-more"


def test_a_plan_is_signed_and_its_header_printed_alone(project: Project) -> None:
    project.settings(f'operation.game_day_key = "{KEY}"\nservices.reviews.url = "http://r"')

    result = project.sagaql("faults", '{"reviews": {"error": 0.5, "seed": 7}}', "--for", "5m", "--tenant", "acme")

    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    name, _, value = line.partition(": ")
    now = LoopClock().wall()
    assert name == "X-SagaQL-Faults"
    plan = verified([value], key=KEY, now=now, tenant="acme", services=["reviews"])
    assert plan == '{"reviews": {"error": 0.5, "seed": 7}}'
    assert "for tenant acme" in result.stderr


@pytest.mark.parametrize(
    ("plan", "lasts", "reason"),
    [
        ('{"revews": {"error": 1}}', "5m", "there is no service 'revews': did you mean 'reviews'?"),
        ('{"reviews": {"explode": 1}}', "5m", "there is no fault 'explode'"),
        ("nonsense", "5m", "the plan is not JSON"),
        ('{"reviews": {"error": 1}}', "2d", "at most 24 h"),
        ('{"reviews": {"error": 1}}', "soon", "is not a duration"),
    ],
)
def test_a_plan_that_cannot_be_signed_is_a_sentence(project: Project, plan: str, lasts: str, reason: str) -> None:
    project.settings(f'operation.game_day_key = "{KEY}"\nservices.reviews.url = "http://r"')

    result = project.sagaql("faults", plan, "--for", lasts)

    assert result.exit_code == INVALID
    assert reason in result.stderr
    assert result.stdout == ""
    assert KEY not in result.stderr


def test_without_a_key_nothing_is_signed(project: Project) -> None:
    result = project.sagaql("faults", "{}")

    assert result.exit_code == INVALID
    assert "operation.game_day_key is not set" in result.stderr


# -- init --------------------------------------------------------------------------------------------------------------


def test_a_new_project_lists_its_files_and_overwrites_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "mine"

    first, second = run("init", str(folder)), run("init", str(folder))

    assert first.exit_code == 0
    assert str(folder / "gateway.toml") in first.stdout.splitlines()
    assert second.exit_code == FAILED
    assert "there already" in second.stderr


# -- serve -------------------------------------------------------------------------------------------------------------


def test_a_taken_port_is_told_before_the_graph_is_imported(project: Project) -> None:
    project.settings('graph.query = "no_such_module:Query"')
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = project.sagaql("serve", "--port", str(taken.getsockname()[1]))

    assert result.exit_code == FAILED
    assert f"port {taken_port(result)} on 127.0.0.1 cannot be used" in result.stderr
    assert "SAGAQL_PORT" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def taken_port(result: Result) -> str:
    return result.stderr.split("port ")[1].split()[0]


def test_what_cannot_be_served_is_told_with_its_own_exit_code(project: Project) -> None:
    project.settings('graph.query = "no_such_module:Query"')
    assert project.sagaql("serve", "--port", str(free_port())).exit_code == INVALID

    project.settings(f'graph.query = "{project.module}:Query"\n[services.stock]')
    assert project.sagaql("serve", "--port", str(free_port())).exit_code == INVALID


def test_an_impossible_port_is_a_mistake_in_the_settings(project: Project) -> None:
    result = project.sagaql("serve", "--port", "70000")

    assert result.exit_code == INVALID
    assert "server.port is 70000" in result.stderr


def test_a_held_port_is_nobody_else_s_and_whoever_connects_waits() -> None:
    with hold_port("127.0.0.1", free_port()) as held, closing(socket.socket()) as client:
        assert client.connect_ex(held.getsockname()) == 0
        with pytest.raises(PortTaken):
            hold_port(*held.getsockname())


def test_a_taken_port_of_admins_names_what_moves_it(project: Project) -> None:
    port = free_port()
    with hold_port("127.0.0.1", port):
        project.settings(f'admin.port = {port}\nadmin.token = "{"0123456789abcdef" * 2}"')
        result = project.sagaql("serve", "--port", str(free_port()))

    assert result.exit_code == FAILED
    assert f"port {port} on 127.0.0.1 cannot be used" in result.stderr
    assert "set SAGAQL_ADMIN__PORT to take another one" in result.stderr


def test_a_host_that_does_not_exist_is_told_as_such() -> None:
    with pytest.raises(PortTaken, match=r"port 80 on 999\.999\.999\.999"):
        hold_port("999.999.999.999", 80)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("gateway.internal", "http://gateway.internal:80"),
    ],
)
def test_an_address_to_listen_on_becomes_one_to_go_to(host: str, url: str) -> None:
    assert url_of(host, 80) == url


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# -- demo --------------------------------------------------------------------------------------------------------------


def test_the_demo_needs_a_checkout_and_says_so(project: Project) -> None:
    result = project.sagaql("demo")

    assert result.exit_code == FAILED
    assert "needs a checkout of SagaQL" in result.stderr


def test_a_checkout_is_where_the_shop_stands_beside_the_settings(tmp_path: Path) -> None:
    assert checkout(ROOT / "gateway.toml") == ROOT
    with pytest.raises(NoDemonstration):
        checkout(tmp_path / "gateway.toml")
