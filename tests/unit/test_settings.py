"""The settings: what is read, which word wins, and what is said about mistakes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pydantic import ValidationError

from demo.people import PEOPLE
from gateway.edge import hashed
from gateway.services import Retry
from gateway.settings import Settings, SettingsInvalid, load_settings
from gateway.settings.sources import dotted, merged, size

ROOT = Path(__file__).resolve().parents[2]
TOKENS = [{"token": "s3cret", "subject": "ada"}]


class Project:
    """A folder with a gateway.toml."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "gateway.toml"

    def load(self, toml: str = "", **environ: str) -> Settings:
        self.file.write_text(dedent(toml), encoding="utf-8")
        return load_settings(self.file, environ=environ)

    def problems(self, toml: str = "", **environ: str) -> list[str]:
        with pytest.raises(SettingsInvalid) as caught:
            self.load(toml, **environ)
        assert str(caught.value) == "\n".join(caught.value.problems)
        return caught.value.problems


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def built(**tree: Any) -> Settings:
    return Settings.within(Path.cwd(), tree)


# -- where settings come from ------------------------------------------------------------------------------------------


def test_an_empty_file_is_a_gateway_with_every_default(project: Project) -> None:
    settings = project.load()

    assert settings.redacted() == Settings().redacted()
    assert settings.graph.query == "resolvers:Query"
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8000)


def test_durations_and_sizes_are_written_with_units(project: Project) -> None:
    settings = project.load("""
        operation.query_deadline = "250ms"
        operation.mutation_deadline = 3
        sagas.drain = "1m"
        server.max_body = "64KiB"
        services.stock.attempt_timeout = "1.5s"
        services.stock.retry.base = "20ms"
        services.stock.max_response = 10
    """)

    assert (settings.operation.query_deadline, settings.operation.mutation_deadline) == (0.25, 3.0)
    assert (settings.sagas.drain, settings.server.max_body) == (60.0, 65_536)
    stock = settings.services["stock"]
    assert (stock.attempt_timeout, stock.retry.base, stock.max_response) == (1.5, 0.02, 10)


@pytest.mark.parametrize(("written", "in_bytes"), [(7, 7), ("7", 7), ("7B", 7), ("2 KiB", 2048), ("1GiB", 1024**3)])
def test_a_size_is_bytes_or_binary_units(written: object, in_bytes: int) -> None:
    assert size(written) == in_bytes


@pytest.mark.parametrize("written", ["1MB", "-1", "1.5MiB", "", True, 1.5, None])
def test_anything_else_is_no_size(written: object) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        size(written)


@pytest.mark.parametrize(
    "written",
    [
        ["*"],
        ["https://app.example"],
        ["https://app.example:8443", "http://localhost:3000", "http://[::1]:3000", "capacitor://localhost"],
    ],
)
def test_origins_are_written_as_browsers_send_them(project: Project, written: list[str]) -> None:
    assert project.load(f"server.cors_origins = {json.dumps(written)}").server.cors_origins == tuple(written)
    assert project.load(SAGAQL_SERVER__CORS_ORIGINS=", ".join(written)).server.cors_origins == tuple(written)


@pytest.mark.parametrize(
    "written",
    [
        "app.example",
        "https://app.example/",
        "https://app.example:443",
        "http://app.example:80",
        "https://App.example",
        "https://*.example",
        "null",
        "*, https://app.example",
    ],
)
def test_what_no_browser_sends_is_no_origin(project: Project, written: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"server\.cors_origins"):
        project.load(SAGAQL_SERVER__CORS_ORIGINS=written)


@pytest.mark.parametrize("status", [201, 299, "294 "])
def test_partial_success_has_one_of_two_statuses(project: Project, status: object) -> None:
    with pytest.raises(SettingsInvalid, match=r"server\.partial_success_status"):
        project.load(f"server.partial_success_status = {json.dumps(status)}")


@pytest.mark.parametrize("written_in", ["file", "environment"])
def test_the_status_of_partial_answers_is_one_of_two_wherever_it_is_written(project: Project, written_in: str) -> None:
    def load(written: str) -> int:
        if written_in == "file":
            return project.load(f"server.partial_success_status = {written}").server.partial_success_status
        return project.load(SAGAQL_SERVER__PARTIAL_SUCCESS_STATUS=written).server.partial_success_status

    assert [load("200"), load("294")] == [200, 294]
    with pytest.raises(SettingsInvalid, match="200 or 294"):
        load("207")


def test_the_environment_wins_over_the_file(project: Project) -> None:
    settings = project.load(
        """
        discovery = "ours:url"
        profile = "production"
        [server]
        port = 1111
        host = "0.0.0.0"
        [services.stock]
        url = "http://stock:1"
        """,
        SAGAQL_SERVER__PORT="2222",
        SAGAQL_SERVICES__STOCK__RETRY__ATTEMPTS="5",
        SAGAQL_SERVICES__STOCK__SEND_HEADERS="X-Tenant, X-Region",
        SAGAQL_SERVICES__REVIEWS__URL="http://reviews:1",
        SAGAQL_DISCOVERY="theirs:url",
        SAGAQL_IDENTITY='{"tokens": [{"token": "t", "subject": "s"}]}',
    )

    assert (settings.server.port, settings.server.host) == (2222, "0.0.0.0")
    assert settings.discovery == "theirs:url"
    assert set(settings.services) == {"stock", "reviews"}
    assert settings.services["stock"].retry == Retry(attempts=5)
    assert settings.services["stock"].config(("http://stock:1",)).send_headers == ("x-tenant", "x-region")
    assert settings.identity.tokens[0].subject == "s"


def test_the_command_line_wins_over_both(project: Project) -> None:
    project.file.write_text("server.port = 1", encoding="utf-8")

    settings = load_settings(project.file, environ={"SAGAQL_PORT": "2"}, overrides={"server": {"port": 3}})

    assert settings.server.port == 3


def test_the_port_has_a_short_name_and_the_long_one_wins(project: Project) -> None:
    assert project.load(SAGAQL_PORT="9000").server.port == 9000
    assert project.load(SAGAQL_PORT="9000", SAGAQL_SERVER__PORT="9001").server.port == 9001


def test_an_empty_variable_says_nothing(project: Project) -> None:
    assert project.load("server.port = 1111", SAGAQL_PORT="").server.port == 1111


def test_variables_that_a_platform_sets_are_left_alone(project: Project) -> None:
    settings = project.load(SAGAQL_SERVICE_HOST="10.0.0.1", SAGAQL_PORT_8000_TCP="tcp://10.0.0.1:8000")

    assert settings.redacted() == Settings().redacted()


def test_the_file_may_be_named_by_a_variable(project: Project) -> None:
    project.file.write_text("server.port = 1111", encoding="utf-8")

    assert load_settings(environ={"SAGAQL_CONFIG": str(project.file)}).server.port == 1111


def test_relative_paths_start_at_the_folder_of_the_file(project: Project) -> None:
    settings = project.load('sagas.journal = "data/j.sqlite3"\ngraph.sdl = "/else/where.graphql"')

    assert settings.root == project.file.parent
    assert settings.journal == project.file.parent / "data" / "j.sqlite3"
    assert settings.sdl == Path("/else/where.graphql")


def test_an_empty_sdl_keeps_no_schema_file(project: Project) -> None:
    assert project.load('graph.sdl = ""').sdl is None


def test_settings_built_by_hand_read_nothing_from_outside() -> None:
    assert built(server={"port": 5}).server.port == 5


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().server.port = 1


def test_tables_are_merged_and_lists_replaced() -> None:
    assert merged({"a": {"b": 1, "c": [1, 2]}}, {"a": {"c": [3]}}, {"d": 4}) == {"a": {"b": 1, "c": [3]}, "d": 4}


# -- references --------------------------------------------------------------------------------------------------------


def test_references_are_filled_in_from_the_environment(project: Project) -> None:
    toml = """
        [sagas]
        journal = "${DATA:-.here}/j-${NODE}.sqlite3"
        [[identity.tokens]]
        token = "${TOKEN}"
        subject = "$${not a reference} ${EMPTY:-}"
    """

    settings = project.load(toml, NODE="n1", TOKEN="s3cret")

    assert settings.sagas.journal == Path(".here/j-n1.sqlite3")
    assert str(settings.identity.tokens[0].token) == "**********"
    assert settings.identity.tokens[0].digest == hashed("s3cret")
    assert settings.identity.tokens[0].subject == "${not a reference} "
    assert project.load(toml, NODE="", TOKEN="s3cret", DATA="d").sagas.journal == Path("d/j-.sqlite3")


def test_every_reference_to_a_name_that_is_not_set_is_named(project: Project) -> None:
    problems = project.problems("""
        server.host = "${HOST}"
        [[identity.tokens]]
        token = "${TOKEN}"
    """)

    assert problems == [
        "server.host: ${HOST} is not set: set HOST, or write ${HOST:-a default}",
        "identity.tokens[0].token: ${TOKEN} is not set: set TOKEN, or write ${TOKEN:-a default}",
    ]


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_every_mistake_is_reported_at_once_with_its_path_and_remedy(project: Project) -> None:
    problems = project.problems(
        """
        discovry = "a:b"
        [graph]
        query = "resolvers.Query"
        [server]
        prot = 1
        port = 70000
        drain = "2 parsecs"
        max_body = "1MB"
        [operation]
        query_deadline = "2m"
        [services.catalog]
        url = "catalog:1"
        [services.orders]
        retry.atempts = 3
        breaker.window = "x"
        [services.reviews]
        retry.base = "5s"
        [telemetry]
        exporter = "otpl"
        """,
        SAGAQL_OPERATION__DOCUMENTS="-1",
    )

    assert problems == [
        "graph.query: 'resolvers.Query' names nothing in Python: write it as module:name",
        "server.port is 70000: it must be less than or equal to 65535",
        "server.max_body: '1MB' is not a size: write bytes or a number and a unit, as in 65536, 64KiB or 1MiB",
        "server.drain: '2 parsecs' is not a duration: write a number and a unit, as in 250ms, 2s, 15m, 1h or 7d",
        (
            "server.prot is not a setting: did you mean server.port? "
            "known here: host, port, max_body, body_timeout, max_head, max_headers, head_timeout, max_connections, "
            "workers, max_operations, max_subscriptions, drain, drain_delay, "
            "partial_success_status, compress, compress_above, cors_origins, csrf_prevention, "
            "http_caching, graphiql, watch, control, tls_certificate, tls_key, tls_client_ca, tls_client_required, tls_hsts"
        ),
        (
            "operation.max_deadline: 60 s is less than query_deadline, 120 s: "
            "what holds for everybody must not be longer than what a client may ask for"
        ),
        "operation.documents is '-1': it must be greater than or equal to 1 (from SAGAQL_OPERATION__DOCUMENTS)",
        "services.catalog: url is not an address of a service: write it as http://host:port",
        (
            "services.orders.retry.atempts is not a setting: did you mean services.orders.retry.attempts? "
            "known here: attempts, base, cap, longest_retry_after"
        ),
        (
            "services.orders.breaker.window: 'x' is not a duration: "
            "write a number and a unit, as in 250ms, 2s, 15m, 1h or 7d"
        ),
        "services.reviews.retry: retry.base is 5.0 and retry.cap 1.0: 0 <= base <= cap must hold",
        "telemetry.exporter is 'otpl': it must be 'none' or 'otlp'",
        (
            "discovry is not a setting: did you mean discovery? "
            "known here: profile, graph, server, admin, operation, streams, overload, limits, services, discovery, sagas, "
            "shared, identity, telemetry, accepted_risks"
        ),
    ]


@pytest.mark.parametrize(
    "toml",
    [
        "server.port = 0",
        "server.max_operations = 0",
        "server.drain = '-1s'",
        "server.drain = true",
        "server.drain = inf",
        "server.max_body = 0",
        "operation.query_deadline = '0s'",
        "operation.max_deadline = '9s'",
        "telemetry.sample_ratio = 1.5",
        "telemetry.log_level = 'loud'",
        "services.a.attempt_timeout = 0",
        "services.a.bulkhead.limit = 0",
        "services.a.url = 'http://user:pass@host'",
        "services.a.url = ''",
        "services = 3",
        "sagas.max_open = 0",
        "identity.tokens = [{token = '', subject = 's'}]",
        "identity.tokens = [{token = 't', subject = 's', scopes = ['a b']}]",
        "identity.tokens = [{subject = 's'}]",
    ],
)
def test_what_cannot_work_fails_when_built(project: Project, toml: str) -> None:
    (problem,) = project.problems(toml)

    assert problem.startswith(toml.partition(".")[0].partition(" ")[0])


def test_a_section_that_does_not_exist_is_refused_in_the_environment_too(project: Project) -> None:
    (problem,) = project.problems(SAGAQL_SERVR__PORT="1")

    assert problem.startswith("environment: SAGAQL_SERVR__PORT names no section; did you mean SAGAQL_SERVER__PORT?")


def test_a_list_in_the_environment_that_is_not_json_says_so(project: Project) -> None:
    (problem,) = project.problems(SAGAQL_IDENTITY="s3cret")

    assert "JSON" in problem
    assert "s3cret" not in problem


def test_a_mistake_in_the_toml_says_where(project: Project) -> None:
    (problem,) = project.problems("[server]\nport = = 1")

    assert problem.startswith(f"{project.file} is not TOML")
    assert "line 2, column 8" in problem


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="sagaql init FOLDER"):
        load_settings(tmp_path / "gateway.toml", environ={})


def test_what_is_no_text_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"a = '\xe4'")

    for file in (tmp_path, tmp_path / "latin.toml"):
        with pytest.raises(SettingsInvalid, match=str(file)):
            load_settings(file, environ={})


# -- game days ---------------------------------------------------------------------------------------------------------


def test_a_game_day_s_key_is_a_secret_of_32_characters(project: Project) -> None:
    settings = project.load('operation.game_day_key = "${KEY}"', KEY="s3cret" * 6)

    assert settings.operation.secret_of_game_days == "s3cret" * 6
    assert "s3cret" not in f"{settings!r} {settings.model_dump_json()} {settings.redacted()}"
    assert project.load().operation.secret_of_game_days is None


@pytest.mark.parametrize("key", ['"s3cret"', '["s3cret"]', '""'])
def test_a_key_that_can_be_guessed_is_refused_and_not_repeated(project: Project, key: str) -> None:
    (problem,) = project.problems(f"operation.game_day_key = {key}")

    assert problem.startswith("operation.game_day_key")
    assert "s3cret" not in problem


# -- headers -----------------------------------------------------------------------------------------------------------


def test_constants_of_a_service_are_secrets_from_the_environment(project: Project) -> None:
    settings = project.load(
        'services.stock = { url = "http://s:1", set_headers = { X-Api-Key = "${KEY}" } }', KEY="s3cret"
    )

    (header,) = settings.service_configs()["stock"].set_headers
    assert (header.name, header.value) == ("x-api-key", "s3cret")
    for rendering in (repr(settings), str(settings), settings.model_dump_json(), str(settings.redacted())):
        assert "s3cret" not in rendering


@pytest.mark.parametrize("value", ['["s3cret"]', '"s3cret\\n"', "{ s3cret = 1 }"])
def test_a_constant_that_cannot_be_sent_is_told_without_its_value(project: Project, value: str) -> None:
    (problem,) = project.problems(f"services.stock.set_headers = {{ x-api-key = {value} }}")

    assert problem.startswith("services.stock")
    assert "s3cret" not in problem


def test_a_header_that_must_not_be_forwarded_is_a_mistake_whatever_its_letters(project: Project) -> None:
    (problem,) = project.problems('services.stock.send_headers = ["X-Tenant", "Transfer-Encoding"]')

    assert problem == (
        "services.stock: send_headers names 'transfer-encoding': "
        "it concerns the client's connection to us and ends there: leave it out"
    )


# -- a shared store ----------------------------------------------------------------------------------------------------


def test_a_shared_store_s_url_is_a_secret_read_from_the_environment(project: Project) -> None:
    toml = """
        [shared]
        url = "rediss://gateway:${STORE_PASSWORD}@store:6380/2"
        timeout = "20ms"
    """
    settings = project.load(toml, STORE_PASSWORD="s3cret")

    address = settings.shared.address
    assert address is not None
    assert (str(address), address.password, settings.shared.timeout) == ("rediss://store:6380/2", "s3cret", 0.02)
    for rendering in (repr(settings), str(settings), settings.model_dump_json(), str(settings.redacted())):
        assert "s3cret" not in rendering
    assert [*settings.differences(project.load(toml, STORE_PASSWORD="other"))] == ["shared.url"]
    assert project.load().shared.address is None


def test_what_is_wrong_with_a_shared_store_is_told_without_its_password(project: Project) -> None:
    problems = project.problems("""
        [shared]
        url = "http://gateway:s3cret@store"
        timeout = "0s"
        prefix = "two words"
        urls = ["redis://gateway:s3cret@store"]
    """)

    assert [problem.split()[0] for problem in problems] == [
        "shared.url:",
        "shared.timeout",
        "shared.prefix",
        "shared.urls",
    ]
    assert 'write it as "redis://user:password@host:6379/0"' in problems[0]
    assert "s3cret" not in "".join(problems)
    assert "s3cret" not in "".join(project.problems('shared.url = ["redis://gateway:s3cret@store"]'))


@pytest.mark.parametrize(
    ("url", "because"), [("redis://store", "url is not encrypted"), ("rediss://store", "there is no such file")]
)
def test_certificates_for_nothing_and_certificates_that_are_not_there_are_refused(
    project: Project, url: str, because: str
) -> None:
    (problem,) = project.problems(f'[shared]\nurl = "{url}"\nca_file = "nowhere.pem"')
    assert problem.startswith("shared: ca_file")
    assert because in problem


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_no_rendering_of_the_settings_shows_a_token() -> None:
    settings = built(identity={"tokens": TOKENS})

    assert str(settings.identity.tokens[0].token) == "**********"
    assert settings.identity.tokens[0].digest == hashed("s3cret")
    for rendering in (repr(settings), str(settings), settings.model_dump_json(), str(settings.redacted())):
        assert "s3cret" not in rendering
    assert settings.redacted()["identity"]["tokens"][0]["subject"] == "ada"


@pytest.mark.parametrize(
    "identity",
    [
        {"tokens": "s3cret"},
        {"tokens": ["s3cret"]},
        {"tokens": [{"token": ["s3cret"], "subject": "a"}]},
        {"tokens": [*TOKENS, *TOKENS]},
        {"tokens": [{**TOKENS[0], "scopes": "s3cret"}]},
        {"tokens": TOKENS, "s3cret": 1},
    ],
    ids=["tokens", "table", "token", "twice", "scopes", "key"],
)
def test_no_mistake_repeats_a_token(tmp_path: Path, identity: dict[str, Any]) -> None:
    (tmp_path / "gateway.toml").touch()

    with pytest.raises(SettingsInvalid) as caught:
        load_settings(tmp_path / "gateway.toml", environ={}, overrides={"identity": identity})

    assert "s3cret" not in str(caught.value).replace("identity.s3cret", "")  # a key is a name: it is shown


def test_one_token_cannot_be_two_identities() -> None:
    with pytest.raises(ValidationError, match=r"tokens\[0\] and tokens\[1\] are the same token"):
        built(identity={"tokens": [*TOKENS, *TOKENS]})


# -- addresses ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def discovery(tmp_path: Path) -> Iterator[str]:
    """The name of a function that knows the address of `stock` only."""
    (tmp_path / "found_by_test.py").write_text(
        "def url(name):\n    if name != 'stock':\n        raise KeyError(f'nobody knows it')\n    return 'http://stock:1'\n",
        encoding="utf-8",
    )
    sys.path.insert(0, str(tmp_path))
    yield "found_by_test:url"
    sys.path.remove(str(tmp_path))
    sys.modules.pop("found_by_test", None)


def settings_with(services: dict[str, Any], discovery: str | None = None) -> Settings:
    return built(services=services, discovery=discovery)


def test_a_service_has_its_own_url_or_the_discovered_one(discovery: str) -> None:
    configs = settings_with({"stock": {}, "orders": {"url": "http://orders:1"}}, discovery).service_configs()

    assert {name: config.instances for name, config in configs.items()} == {
        "stock": ("http://stock:1",),
        "orders": ("http://orders:1",),
    }


def test_every_service_without_an_address_is_named(discovery: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        settings_with({"stock": {}, "orders": {}, "reviews": {}}, discovery).service_configs()

    assert caught.value.problems == [
        '[services.orders] url, [services.reviews] url: nobody knows it: write url = "http://host:port" there'
    ]


def test_without_a_discovery_a_url_is_needed() -> None:
    with pytest.raises(SettingsInvalid, match=r"\[services\.stock\] url: it has no url"):
        settings_with({"stock": {}}).service_configs()


@pytest.mark.parametrize("name", ["no_such_module:url", "json:no_such_name"])
def test_a_discovery_that_is_not_there_is_a_problem_not_a_crash(name: str) -> None:
    with pytest.raises(SettingsInvalid, match="cannot be imported"):
        settings_with({"stock": {}}, name).service_configs()


def test_a_discovery_that_nobody_needs_is_not_imported() -> None:
    assert settings_with({"stock": {"url": "http://stock:1"}}, "no_such_module:url").service_configs()


# -- the demo's file ---------------------------------------------------------------------------------------------------


def test_the_demos_file_knows_the_seven_services_and_three_callers() -> None:
    settings = load_settings(ROOT / "gateway.toml", environ={"DEMO_DATA": "/data"})

    assert list(settings.services) == ["catalog", "customers", "inventory", "orders", "payments", "reviews", "shipping"]
    assert settings.journal == Path("/data/gateway/journal.sqlite3")
    assert {each.subject: each.scopes for each in settings.identity.tokens} == {
        "c-001": ("customer",),
        "support": ("support",),
        "operator": ("support", "operator", "explain"),
    }
    assert {each.digest: each.subject for each in settings.identity.tokens} == {
        hashed(person.token): person.subject for person in PEOPLE
    }
    assert not any(person.token in (ROOT / "gateway.toml").read_text(encoding="utf-8") for person in PEOPLE)


def test_a_path_is_written_as_in_the_file() -> None:
    assert dotted(("identity", "tokens", 2, "subject")) == "identity.tokens[2].subject"


# -- several workers ---------------------------------------------------------------------------------------------------


def test_the_machines_bounds_are_divided_among_those_who_share_them_and_nobody_is_left_without() -> None:
    settings = Settings.model_validate(
        {
            "graph": {"mutation": "mutations:Mutation"},
            "server": {"workers": 3, "max_operations": 10},
            "services": {
                "wide": {"url": "http://wide:1", "bulkhead": {"limit": 10, "queue": 5}},
                "narrow": {"url": "http://narrow:1", "bulkhead": {"limit": 1, "queue": 0}},
                "learnt": {"url": "http://learnt:1", "bulkhead": {"limit": 4, "adaptive": True, "least": 4}},
            },
        }
    )

    assert settings.server.operations_each == 4
    assert (settings.needs_saga_process, settings.callers) == (True, 4)
    shares = {name: each.bulkhead for name, each in settings.service_configs(callers=settings.callers).items()}
    assert {name: (each.limit, each.longest_queue) for name, each in shares.items()} == {
        "wide": (3, 2),
        "narrow": (1, 0),
        "learnt": (1, 2),
    }
    assert {name: each.bulkhead.limit for name, each in settings.service_configs().items()} == {
        "wide": 10,
        "narrow": 1,
        "learnt": 4,
    }


def test_one_worker_and_a_graph_without_mutations_need_no_saga_process() -> None:
    alone = Settings.model_validate({"graph": {"mutation": "mutations:Mutation"}})
    reading = Settings.model_validate({"server": {"workers": 2}})

    assert (alone.needs_saga_process, alone.callers) == (False, 1)
    assert (reading.needs_saga_process, reading.callers) == (False, 2)
