"""`sagaql sagas draw, verify, export, backup, restore, new-key`: over a project of its own and a journal in a file."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli import app
from gateway.clock import LoopClock
from gateway.sagas import KeyRing, SqliteJournal, new_secret_key
from gateway.sagas.keeping import Keeper, Keeping
from gateway.sagas.ownership import take_lock
from gateway.sagas.signing import SigningKey, new_signing_key
from gateway.terminal import FAILED, INVALID

from .sagas.files import begin, change, end
from .sagas.world import quiet

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT: dict[str, str | None] = dict.fromkeys(("SAGAQL_CONFIG", "SAGAQL_PORT"))
SECRET_LINE, PUBLIC_LINE = new_signing_key()
GRAPH = '''
"""A graph with one saga in two versions."""

import msgspec
import strawberry

from gateway.graph import saga_field
from gateway.sagas import Saga, StepCtx, step


@strawberry.type
class Query:
    @strawberry.field
    def greeting(self) -> str:
        return "hello"


@strawberry.input
class Wish:
    text: str


@strawberry.type
class Granted:
    text: str


class Grant(Saga[Wish, Granted], version=2):
    @step(undo=None)
    async def heard(self, ctx: StepCtx, wish: Wish) -> str:
        return wish.text

    def result(self, wish: Wish, heard: str) -> Granted:
        return Granted(text=heard)


@strawberry.type
class Mutation:
    grant = saga_field(Grant)
'''
_numbers = itertools.count()


class Project:
    """A folder with settings, a graph, and a journal of two sagas that a checkpoint covers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / ".sagaql" / "journal.sqlite3"
        self.module = f"wishes_of_test_{next(_numbers)}"
        (folder / f"{self.module}.py").write_text(GRAPH, encoding="utf-8")
        toml = f'graph.query = "{self.module}:Query"\ngraph.mutation = "{self.module}:Mutation"\n[sagas]\nanchor = "anchor"\n'
        (folder / "gateway.toml").write_text(toml + f'signing_key = "{SECRET_LINE}"\n', encoding="utf-8")

    async def fill(self) -> None:
        telemetry, _ = quiet()
        keeping = Keeping(anchor=self.folder / "anchor", key=SigningKey.parse(SECRET_LINE))
        journal = SqliteJournal(self.journal, telemetry=telemetry, keeping=keeping)
        await journal.open()
        await begin(journal, "one", at=1_000.0)
        await begin(journal, "two", at=90_000.0)
        await end(journal, "two", at=90_001.0)
        await Keeper(journal, keeping, telemetry=telemetry, clock=LoopClock()).checkpoint()
        await journal.close()

    def sagas(self, *arguments: str) -> Result:
        return run(*arguments, "--config", str(self.folder / "gateway.toml"))


def run(*arguments: str) -> Result:
    return CliRunner(env=ENVIRONMENT).invoke(app, ["sagas", *arguments])


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    asyncio.run(project.fill())
    yield project
    sys.modules.pop(project.module, None)
    sys.path[:] = [entry for entry in sys.path if entry != str(tmp_path)]


# -- drawing -----------------------------------------------------------------------------------------------------------


def test_a_saga_is_drawn_in_four_ways(project: Project) -> None:
    drawn = [project.sagas("draw", "Grant", *ways).stdout for ways in ((), ("--states",), ("--mermaid",))]
    drawn.append(project.sagas("draw", "Grant", "--mermaid", "--states").stdout)
    assert [text.split()[0] for text in drawn] == ["Grant", "RUNNING", "flowchart", "stateDiagram-v2"]
    assert "heard" in drawn[0]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (("Grnt",), "the graph has no saga Grnt: did you mean Grant?"),
        (("Zzz",), "the graph has no saga Zzz: there are Grant"),
        (("Grant", "--version", "1"), "Grant has no version 1, only 2"),
    ],
)
def test_a_saga_that_is_not_there_is_told_with_those_that_are(
    project: Project, asked: tuple[str, ...], why: str
) -> None:
    drawn = project.sagas("draw", *asked)
    assert (drawn.exit_code, drawn.stdout, drawn.stderr) == (INVALID, "", f"✗ {why}\n")


# -- verifying ---------------------------------------------------------------------------------------------------------


def test_a_journal_is_verified_with_what_the_settings_have(project: Project) -> None:
    verified = project.sagas("verify")
    assert verified.exit_code == 0
    assert verified.stdout.startswith("2 sagas, 6 events, 0 pruned: nothing wrong was found")
    assert "the anchor says the same" in verified.stdout
    assert "was signed by" in verified.stdout


def test_a_copy_is_verified_where_there_are_no_settings(project: Project, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite3"
    assert project.sagas("backup", str(copy)).exit_code == 0
    alone = run("verify", "--journal", str(copy), "--public-key", PUBLIC_LINE, "--json")
    found = json.loads(alone.stdout)
    assert (alone.exit_code, found["isIntact"], found["checkpoint"]) == (0, True, 1)
    assert any("was signed by" in sentence for sentence in found["proven"])
    assert any("without an anchor" in sentence for sentence in found["notProven"])
    other = run("verify", "--journal", str(copy), "--public-key", new_signing_key()[1])
    assert (other.exit_code, "WRONG       forged" in other.stdout) == (FAILED, True)


def test_a_changed_event_is_found_and_the_exit_code_says_so(project: Project) -> None:
    changed = "UPDATE events SET payload = CAST(replace(payload, '4242', '1111') AS BLOB)"
    assert change(project.journal, changed) == 6
    verified = project.sagas("verify", "--quick")
    assert verified.exit_code == FAILED
    assert "WRONG       changed: saga two" in verified.stdout
    assert verified.stderr == ""


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--journal", "nowhere.sqlite3"), "there is no journal nowhere.sqlite3"),
        (("--anchor", "nowhere"), "the anchor nowhere cannot be read: No such file or directory"),
        (("--public-key", "ed25519-public:x"), "not a key: it is one line"),
    ],
)
def test_what_cannot_be_verified_is_a_sentence(project: Project, options: tuple[str, ...], why: str) -> None:
    verified = project.sagas("verify", *options)
    assert (verified.exit_code, verified.stdout) == (INVALID, "")
    assert why in verified.stderr


# -- exporting ---------------------------------------------------------------------------------------------------------


def test_sagas_are_exported_the_oldest_first_and_chosen_by_what_they_are(project: Project) -> None:
    def ids(*options: str) -> list[str]:
        exported = project.sagas("export", *options)
        assert exported.exit_code == 0, exported.stderr
        return [json.loads(line)["id"] for line in exported.stdout.splitlines()]

    assert ids() == ["one", "two"]
    assert ids("--status", "completed") == ["two"]
    assert ids("--id", "one") == ["one"]
    assert ids("--saga", "Other") == []
    assert ids("--from", "1970-01-02") == ["two"]
    assert ids("--before", "1970-01-01T01:00:00+00:00") == ["one"]


def test_an_export_into_a_file_is_whole_and_nobody_elses(project: Project, tmp_path: Path) -> None:
    target = tmp_path / "sagas.jsonl"
    assert project.sagas("export", "--output", str(target)).exit_code == 0
    assert [json.loads(line)["events"][0]["kind"] for line in target.read_text().splitlines()] == ["SagaStarted"] * 2
    assert target.stat().st_mode & 0o777 == 0o600
    again = project.sagas("export", "--output", str(target))
    assert (again.exit_code, "is there already" in again.stderr) == (INVALID, True)
    assert not list(tmp_path.glob("*.partial"))


def test_what_is_sealed_stays_out_of_an_export(project: Project) -> None:
    vault, _ = KeyRing(new_secret_key()).new_vault("two")
    seal = vault.seal("input", ("card",), b"4242")
    change(project.journal, "UPDATE sagas SET input = ?", (json.dumps({"card": seal}).encode(),))
    exported = project.sagas("export", "--id", "two")
    assert json.loads(exported.stdout)["input"] == {"card": "(secret)"}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--status", "LOST"), "--status is 'LOST': ask for RUNNING,"),
        (("--from", "yesterday"), "--from is 'yesterday': write a day as 2026-11-25"),
        (("--output", "/nowhere/at/all"), "/nowhere/at/all cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_exported_is_a_sentence(project: Project, options: tuple[str, ...], why: str) -> None:
    exported = project.sagas("export", *options)
    assert exported.exit_code != 0
    assert why in exported.stderr


def test_a_reader_that_has_seen_enough_ends_an_export_without_a_word(project: Project) -> None:
    command = [sys.executable, "-m", "gateway", "sagas", "export", "--journal", str(project.journal)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as exporting:
        assert exporting.stdout is not None
        assert exporting.stderr is not None
        exporting.stdout.close()
        assert exporting.stderr.read() == b""


# -- backing up --------------------------------------------------------------------------------------------------------


def test_a_backup_is_restored_and_what_was_there_is_moved_aside(project: Project, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite3"
    made = project.sagas("backup", str(copy), "--json")
    assert json.loads(made.stdout) == {"path": str(copy), "bytes": copy.stat().st_size, "checkpoint": 1}
    change(project.journal, "DELETE FROM events")
    restored = project.sagas("restore", str(copy))
    assert restored.exit_code == 0, restored.stderr
    assert restored.stderr.count("moved aside: ") == 2, "the journal and its anchor"
    assert project.sagas("verify", "--anchor", str(next(tmp_path.glob("anchor.*")))).exit_code == 0


def test_a_backup_replaces_nothing(project: Project, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    made = project.sagas("backup", str(taken))
    assert (made.exit_code, "a backup replaces nothing" in made.stderr) == (FAILED, True)
    assert taken.read_text() == "mine"


def test_nothing_is_restored_under_a_gateway_that_runs_or_from_what_is_no_journal(
    project: Project, tmp_path: Path
) -> None:
    copy, broken = tmp_path / "copy.sqlite3", tmp_path / "broken"
    assert project.sagas("backup", str(copy)).exit_code == 0
    with open(take_lock(project.journal), "rb"):  # noqa: PTH123  (a descriptor)
        running = project.sagas("restore", str(copy))
    broken.write_bytes(b"no journal")
    refused = [running, project.sagas("restore", str(broken)), project.sagas("restore", str(tmp_path / "nowhere"))]
    assert [each.exit_code for each in refused] == [FAILED, FAILED, INVALID]
    assert "is owned by another process: stop that process" in refused[0].stderr
    assert "is not restored, it is no intact journal" in refused[1].stderr
    assert "there is no backup" in refused[2].stderr
    assert project.sagas("verify").exit_code == 0


# -- keys --------------------------------------------------------------------------------------------------------------


def test_new_keys_fit_the_settings_and_are_never_the_same() -> None:
    secret, signing = run("new-key", "secret"), run("new-key", "signing")
    KeyRing(secret.stdout.strip())
    private, public = signing.stdout.split()
    assert str(SigningKey.parse(private).public) == public
    assert secret.stdout != run("new-key", "secret").stdout
    assert 'secret_key = "${ITS_NAME}"' in secret.stderr


def test_another_kind_of_key_is_a_mistake() -> None:
    made = run("new-key", "ssh")
    assert (made.exit_code, made.stdout) == (INVALID, "")
    assert "say secret or signing" in made.stderr
