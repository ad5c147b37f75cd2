"""Steering a running gateway: by its file, by command, one instance at a time; as a whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from random import Random
from textwrap import dedent
from typing import Any

import msgspec
import pytest

from gateway.clock import LoopClock
from gateway.control import Caller, Refused
from gateway.services import ServiceConfig, Services
from gateway.settings import Settings, SettingsInvalid, load_settings
from gateway.steering import READ_WITHIN, Steering, own, written
from gateway.telemetry import Telemetry, json_log
from gateway.testing import ScriptedWire, answer

OPERATOR = Caller(uid=1000, pid=1)
TOML = """
    [services.catalog]
    instances = ["http://a", "http://b"]
    bulkhead.limit = 8
    [services.orders]
    url = "http://orders"
"""


class Running:
    """A gateway's services and whoever steers them, over a file."""

    def __init__(self, folder: Path, toml: str = TOML, *, callers: int = 1, **environ: str) -> None:
        self.file = folder / "gateway.toml"
        self.environ = environ
        self.log = StringIO()
        self.write(toml)
        settings = load_settings(self.file, environ=environ, overrides={"server": {"port": 9000}})
        self.telemetry = Telemetry(log=json_log(self.log))
        self.services = Services(
            settings.service_configs(),
            telemetry=self.telemetry,
            clock=LoopClock(),
            random=Random(1),
            wires={name: ScriptedWire(otherwise=answer()) for name in settings.services},
        )
        self.steering = Steering(settings, self.services, telemetry=self.telemetry, callers=callers)

    def write(self, toml: str) -> None:
        self.file.write_text(dedent(toml), encoding="utf-8")

    def config(self, name: str = "catalog") -> ServiceConfig:
        return self.services[name].config

    async def command(self, name: str, arguments: Mapping[str, Any] | None = None) -> Any:
        return await self.steering.commands.run(name, arguments or {}, OPERATOR)

    async def problems(self, name: str, arguments: Mapping[str, Any] | None = None) -> list[str]:
        with pytest.raises(Refused) as caught:
            await self.command(name, arguments)
        return caught.value.problems

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [line for line in map(msgspec.json.decode, self.log.getvalue().splitlines()) if line["event"] == event]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.telemetry.metrics.registry.get_sample_value(name, labels)


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path)


# -- the file ----------------------------------------------------------------------------------------------------------


async def test_a_changed_file_is_applied_and_each_change_is_a_sentence_in_the_log(running: Running) -> None:
    running.write(TOML.replace('"http://b"', '"http://c"').replace("limit = 8", "limit = 9"))
    done = await running.steering.reload()
    assert done.changed == [
        "catalog: instances http://a, http://b → http://a, http://c",
        "catalog: bulkhead.limit 8 → 9",
    ]
    assert (running.config().instances, running.config().bulkhead.limit) == (("http://a", "http://c"), 9)
    assert [(line["change"], line["by"]) for line in running.lines("settings changed")] == [
        (sentence, "the file") for sentence in done.changed
    ]
    assert running.metric("sagaql_settings_reloads_total", result="applied") == 1


async def test_an_invalid_file_is_told_with_every_mistake_and_nothing_changes(running: Running) -> None:
    before = running.config()
    running.write(TOML.replace("limit", "limt") + "\nretry.atempts = 3")
    with pytest.raises(SettingsInvalid):
        await running.steering.reload()
    problems = [line["problem"] for line in running.lines("settings invalid, the former ones stay")]
    assert [problem.partition(" ")[0] for problem in problems] == [
        "services.catalog.bulkhead.limt",
        "services.orders.retry.atempts",
    ]
    assert "did you mean services.catalog.bulkhead.limit?" in problems[0]
    assert running.config() is before
    assert running.metric("sagaql_settings_invalid") == 1
    assert running.metric("sagaql_settings_reloads_total", result="invalid") == 1

    running.write(TOML)
    assert (await running.steering.reload()).changed == []
    assert running.metric("sagaql_settings_invalid") == 0
    assert running.metric("sagaql_settings_reloads_total", result="unchanged") == 1


@pytest.mark.parametrize("toml", ["[services.catalog", "services = 3", ""])
async def test_half_a_file_is_no_reason_to_fail(running: Running, toml: str) -> None:
    before = running.config()
    running.write(toml)
    if toml:
        with pytest.raises(SettingsInvalid):
            await running.steering.reload()
    else:  # an empty file is valid: no service is changed, and all are told to be gone
        assert "catalog: gone; it is called as before until a restart" in (await running.steering.reload()).changed
    assert running.config() is before


async def test_what_stands_outside_services_is_named_and_needs_a_restart(running: Running) -> None:
    running.write(
        'server.max_body = "2MiB"\nserver.port = 1\nidentity.tokens = [{token = "s3cret", subject = "s"}]\n'
        + dedent(TOML.replace("limit = 8", "limit = 9"))
    )
    done = await running.steering.reload()
    assert done.needs_restart == ["server.max_body", "identity.tokens"]  # the command line still says which port
    assert running.config().bulkhead.limit == 9
    (line,) = running.lines("settings need a restart")
    assert line["settings"] == done.needs_restart
    assert "s3cret" not in running.log.getvalue()


async def test_the_environment_still_wins_over_a_changed_file(tmp_path: Path) -> None:
    running = Running(tmp_path, SAGAQL_SERVICES__CATALOG__BULKHEAD__LIMIT="3")
    running.write(TOML.replace("limit = 8", "limit = 9"))
    assert (await running.steering.reload()).changed == []
    assert running.config().bulkhead.limit == 3


async def test_discovery_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "places_of_steering.py").write_text(
        "found = ['http://one']\ndef find(name): return list(found)", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    running = Running(tmp_path, 'discovery = "places_of_steering:find"\n[services.catalog]')
    import places_of_steering  # type: ignore[import-not-found]  # written above

    places_of_steering.found.append("http://two")
    done = await running.steering.reload()
    assert done.changed == ["catalog: instances http://one → http://one, http://two"]
    places_of_steering.found.clear()
    with pytest.raises(SettingsInvalid):
        await running.steering.reload()
    assert running.config().instances == ("http://one", "http://two")


async def test_a_file_that_changes_while_it_is_read_is_not_applied(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Settings.service_configs

    def and_then_it_changes(settings: Settings, *, callers: int) -> dict[str, ServiceConfig]:
        running.write(TOML.replace("limit = 8", "limit = 1000"))
        return real(settings, callers=callers)

    running.write(TOML.replace("limit = 8", "limit = 9"))
    monkeypatch.setattr(Settings, "service_configs", and_then_it_changes)
    with pytest.raises(SettingsInvalid, match="changed while it was read"):
        await running.steering.reload()
    assert running.config().bulkhead.limit == 8


async def test_settings_that_nobody_wrote_are_read_again_as_they_are() -> None:
    settings = Settings.model_validate({"services": {"catalog": {"url": "http://a"}}})
    services = Services(
        settings.service_configs(), telemetry=Telemetry(), clock=LoopClock(), random=Random(1), wires={}
    )
    assert (await Steering(settings, services, telemetry=Telemetry()).reload()).changed == []


# -- set ---------------------------------------------------------------------------------------------------------------


async def test_parameters_are_set_until_a_reload(running: Running) -> None:
    found = await running.command(
        "services set",
        {"assignments": ["catalog.bulkhead.limit=32", "catalog.attempt_timeout=500ms", "orders.coalesce=false"]},
    )
    assert found["changed"] == [
        "catalog: bulkhead.limit 8 → 32",
        "catalog: attempt_timeout 2.0 → 0.5",
        "orders: coalesce True → False",
    ]
    assert {line["by"] for line in running.lines("settings changed")} == {"uid 1000"}
    await running.command("services set", {"assignments": ["catalog.bulkhead.wait=1s"]})
    assert running.config().bulkhead.limit == 32  # a later one forgets no earlier one
    assert sorted((await running.command("services reload"))["changed"]) == [
        "catalog: attempt_timeout 0.5 → 2.0",
        "catalog: bulkhead.limit 32 → 8",
        "catalog: bulkhead.wait 1.0 → 0.1",
        "orders: coalesce False → True",
    ]


async def test_what_the_file_has_said_meanwhile_stays_when_a_parameter_is_set(running: Running) -> None:
    running.write(TOML.replace("limit = 8", "limit = 9"))
    await running.steering.reload()
    await running.command("services set", {"assignments": ["catalog.coalesce=false"]})
    assert (running.config().bulkhead.limit, running.config().coalesce) == (9, False)


async def test_addresses_replace_one_another(running: Running) -> None:
    await running.command("services set", {"assignments": ["catalog.url=http://c", 'orders.instances=["http://d"]']})
    assert (running.config().instances, running.config("orders").instances) == (("http://c",), ("http://d",))


async def test_all_mistakes_are_told_at_once_and_then_nothing_is_set(running: Running) -> None:
    problems = await running.problems(
        "services set",
        {
            "assignments": [
                "catlog.bulkhead.limit=3",
                "catalog.bulkhead.limit",
                "catalog=3",
                "catalog.bulkhead.limti=3",
                "orders.attempt_timeout=soon",
                "orders.retry.attempts=2",
            ]
        },
    )
    assert len(problems) == 5
    assert "there is no service 'catlog': did you mean 'catalog'?" in problems[0]
    assert "write SERVICE.SETTING=VALUE, as in catalog.bulkhead.limit=32" in problems[1]
    assert "write SERVICE.SETTING=VALUE" in problems[2]
    assert "did you mean services.catalog.bulkhead.limit?" in problems[3]
    assert "'soon' is not a duration" in problems[4]
    assert running.config("orders").retry.attempts == 3
    assert running.lines("settings changed") == []


async def test_a_constant_header_is_set_and_its_value_is_neither_told_nor_logged(running: Running) -> None:
    found = await running.command("services set", {"assignments": ["catalog.set_headers.x-api-key=s3cret"]})
    assert found["changed"] == ["catalog: set_headers none → x-api-key"]
    problems = await running.problems("services set", {"assignments": ['catalog.set_headers.x-b=["s3cret"]']})
    assert "s3cret" not in f"{problems} {running.log.getvalue()}"
    assert [each.value for each in running.config().set_headers] == ["s3cret"]


async def test_where_discovery_was_asked_its_answer_stays_when_a_parameter_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "places_of_setting.py").write_text(
        "asked = []\ndef find(name):\n    asked.append(name)\n    return f'http://{name}-{len(asked)}'",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    running = Running(tmp_path, 'discovery = "places_of_setting:find"\n[services.catalog]')
    await running.command("services set", {"assignments": ["catalog.bulkhead.limit=3"]})
    assert running.config().instances == ("http://catalog-1",)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("32", 32),
        ("0.5", 0.5),
        ("true", True),
        ('["a", "b"]', ["a", "b"]),
        ('"quoted"', "quoted"),
        ("500ms", "500ms"),
        ("http://a:1", "http://a:1"),
        ("", ""),
        ("1\nother = 2", "1\nother = 2"),
    ],
)
def test_a_value_is_what_it_looks_like(text: str, value: object) -> None:
    assert written(text) == value


# -- one instance ------------------------------------------------------------------------------------------------------


async def test_an_instance_is_taken_out_and_brought_back_and_both_are_logged(running: Running) -> None:
    given = {"service": "catalog", "instance": "http://a"}
    assert (await running.command("services drain", given))["changed"] == ["catalog: http://a is drained; 0 under way"]
    (catalog,) = (await running.command("services", {"service": "catalog"}))["services"]
    assert [each["state"] for each in catalog["instances"]] == ["drained", "well"]
    assert (await running.command("services undrain", given))["changed"] == ["catalog: http://a is used again"]
    assert (await running.command("services undrain", given))["changed"] == ["catalog: http://a was not drained"]
    assert [line["by"] for line in running.lines("settings changed")] == ["uid 1000"] * 3


async def test_what_cannot_be_taken_out_is_a_sentence(running: Running) -> None:
    last = await running.problems("services drain", {"service": "orders", "instance": "http://orders"})
    assert last[0].startswith("orders: http://orders is the last instance")
    (stranger,) = await running.problems("services drain", {"service": "catalog", "instance": "http://x"})
    assert stranger == "catalog: there is no instance http://x: there are http://a, http://b"
    (unknown,) = await running.problems("services drain", {"service": "catlog", "instance": "http://a"})
    assert "did you mean 'catalog'?" in unknown


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("services", {"nonsense": 1}),
        ("services set", {"assignments": 1}),
        ("services drain", {"service": "catalog"}),
        ("services reload", {"now": True}),
    ],
)
async def test_arguments_that_do_not_fit_are_told(running: Running, command: str, arguments: dict[str, Any]) -> None:
    (problem,) = await running.problems(command, arguments)
    assert problem.startswith("the command's arguments do not fit")


# -- all of it ---------------------------------------------------------------------------------------------------------


async def test_a_watched_file_is_followed_and_an_invalid_one_told_once(tmp_path: Path) -> None:
    running = Running(tmp_path, 'server.watch = "20ms"\nserver.control = ""\n' + dedent(TOML))
    async with running.steering.listening():
        running.write(TOML.replace("limit = 8", "limit = 9"))
        await until(lambda: running.config().bulkhead.limit == 9)
        running.write("nonsense")
        await until(lambda: running.metric("sagaql_settings_invalid") == 1)
        await asyncio.sleep(0.2)
        assert running.metric("sagaql_settings_reloads_total", result="invalid") == 1
        running.write(TOML)
        await until(lambda: running.config().bulkhead.limit == 8)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_watch_of_nothing_and_a_socket_of_nothing_are_none(tmp_path: Path) -> None:
    running = Running(tmp_path, 'server.watch = "0s"\nserver.control = ""\n' + dedent(TOML))
    async with running.steering.listening():
        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert READ_WITHIN < 45  # a command's time


async def until(met: Any) -> None:
    async with asyncio.timeout(10):
        while not met():  # noqa: ASYNC110 - another process's file, and no event of ours
            await asyncio.sleep(0.01)


async def test_permits_that_are_set_or_read_again_are_shared_by_all_processes(tmp_path: Path) -> None:
    running = Running(tmp_path, callers=2)
    running.write(TOML.replace("limit = 8", "limit = 20"))
    await running.steering.reload()
    assert running.config().bulkhead.limit == 10
    await running.steering.set(["catalog.bulkhead.limit=9"], by="somebody")
    assert running.config().bulkhead.limit == 5


def test_each_of_several_processes_has_a_control_socket_of_its_own() -> None:
    names = [own(Path("/run/control.sock"), process).name for process in (None, "worker-1", "worker-2", "sagas")]
    assert names == ["control.sock", "control.sock", "control-worker-2.sock", "control-sagas.sock"]
