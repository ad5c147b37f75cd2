"""`sagaql serve --workers 2` as real processes: what dies when, and what its clients see of it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.sagas.meeting import meeting_place
from tests.processes import lives

from .conftest import CUSTOMER, OPERATOR, ROOT, Demo, free_ports, is_listening, wait_until
from .ordering import PLACE_ORDER, SAGA, assert_balanced, order_input

pytestmark = pytest.mark.e2e

PARTS = ["sagas", "worker-1", "worker-2"]
ENDS_WITHIN = 30.0


@dataclass
class Workers:
    """A supervised gateway over the shop of the session, with a port and a journal of its own."""

    demo: Demo
    folder: Path
    port: int = field(default_factory=lambda: free_ports(1))
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        return (self.folder / "output").read_text(encoding="utf-8")

    def lines(self, event: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.said.splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == event]

    def start(self, *arguments: str) -> None:
        moved = {"SAGAQL_PORT": str(self.port), "SAGAQL_SAGAS__JOURNAL": str(self.folder / "journal.sqlite3")}
        command = ["gateway", "serve", "--config", str(ROOT / "gateway.toml"), "--workers", "2", *arguments]
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env=os.environ | self.demo.environment | moved,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_until_up(self) -> None:
        wait_until(
            lambda: "all processes ready" in self.said or self.process.poll() is not None, saying="up", within=60
        )
        assert self.process.poll() is None, self.said

    def pids(self) -> dict[str, int]:
        """Of its children, by name."""
        found: dict[str, int] = {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"--part" in words and self._is_child(entry):
                    found[words[words.index(b"--part") + 1].decode()] = int(entry.name)
        return found

    def _is_child(self, entry: Path) -> bool:
        parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
        return int(parent) == self.process.pid

    def kill(self, name: str) -> int:
        """SIGKILL one of them, and wait until another plays its part. Its former pid."""
        former = self.pids()[name]
        os.kill(former, signal.SIGKILL)
        wait_until(lambda: self.pids().get(name, former) != former, saying=f"{name} is started again")
        return former

    def wait_until_sagas_are(self, condition: str) -> None:
        wait_until(lambda: self.sagas() == {condition}, saying=f"sagas are {condition}", within=40)

    def sagas(self) -> set[str]:
        """What several answers of /readyz say, most likely of both workers."""
        return {self.ready()["sagas"] for _ in range(6)}

    def ready(self) -> Any:
        return httpx.get(f"{self.url}/readyz", timeout=30).json()

    def post(self, query: str, variables: dict[str, Any] | None = None) -> Any:
        body = {"query": query, "variables": variables or {}}
        return httpx.post(f"{self.url}/graphql", json=body, headers=CUSTOMER, timeout=60).raise_for_status().json()

    def place(self, key: str) -> dict[str, Any]:
        """The payload, or {"code": ...} of the error in its place."""
        answer = self.post(PLACE_ORDER, {"input": order_input(lines=[("SKU-0020", 1)]), "key": key})
        if "errors" in answer:
            return {"code": answer["errors"][0]["extensions"]["code"]}
        payload: dict[str, Any] = answer["data"]["placeOrder"]
        return payload

    def place_until_done(self, key: str) -> dict[str, Any]:
        """As an honest client does it: the same request with the same key, until the saga has ended."""
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            with suppress(httpx.TransportError):
                payload = self.place(key)
                if payload.get("status") in ("COMPLETED", "COMPENSATED"):
                    return payload
            time.sleep(0.1)
        raise AssertionError(f"the order of key {key} did not end: {self.said[-3000:]}")

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        text = httpx.get(f"{self.url}/metrics", timeout=30).text
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def exit_code(self) -> int:
        code = self.process.wait(ENDS_WITHIN)
        assert self.process.stdin is not None
        self.process.stdin.close()
        return code

    def assert_nothing_is_left(self, pids: dict[str, int]) -> None:
        wait_until(lambda: not any(lives(pid) for pid in pids.values()), saying="no child lives", within=30)
        assert not is_listening(self.port)
        assert not meeting_place(self.folder / "journal.sqlite3").exists()


@contextmanager
def serving(demo: Demo, folder: Path, *arguments: str) -> Generator[Workers]:
    workers = Workers(demo, folder)
    workers.start(*arguments)
    try:
        yield workers
    finally:
        if workers.process.poll() is None:
            workers.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                workers.process.wait(ENDS_WITHIN)
        if workers.process.poll() is None:
            workers.process.kill()
            workers.process.wait(ENDS_WITHIN)
        assert workers.process.stdin is not None
        workers.process.stdin.close()


@pytest.fixture
def workers(demo: Demo, tmp_path: Path) -> Iterator[Workers]:
    with serving(demo, tmp_path) as running:
        running.wait_until_up()
        yield running


# -- all is well -------------------------------------------------------------------------------------------------------


def test_orders_are_placed_metrics_are_one_and_all_leave_in_order(workers: Workers) -> None:
    with ThreadPoolExecutor(8) as clients:
        placed = list(clients.map(lambda _: workers.place(str(uuid.uuid4())), range(16)))

    assert {each["__typename"] for each in placed} == {"PlaceOrderCompleted"}
    assert workers.sagas() == {"ok"}
    served = Counter(line["process"] for line in workers.lines("operation"))
    metrics = workers.metrics()
    assert metrics["sagaql_operation_duration_seconds_count", (("outcome", "ok"), ("type", "mutation"))] == sum(
        served.values()
    )
    saga = (("saga", "PlaceOrder"), ("state", "COMPLETED"))
    assert metrics["sagaql_saga_duration_seconds_count", saga] == 16
    assert [metrics["sagaql_process_up", (("process", name),)] for name in PARTS] == [1, 1, 1]

    pids = workers.pids()
    assert sorted(pids) == PARTS
    workers.process.terminate()
    assert workers.exit_code() == 0
    workers.assert_nothing_is_left(pids)
    assert [line["process"] for line in workers.lines("stopped")][-2:] == ["sagas", "supervisor"]
    assert "Traceback" not in workers.said


def test_both_workers_answer_and_each_client_reads_its_own_write(workers: Workers) -> None:
    def buy_and_look(_: int) -> bool:
        placed = workers.place(str(uuid.uuid4()))
        answers = [workers.post("query($id: ID!) { order(id: $id) { status } }", {"id": placed["order"]["id"]})]
        return all(answer["data"]["order"]["status"] == "CONFIRMED" for answer in answers)

    with ThreadPoolExecutor(8) as clients:
        assert all(clients.map(buy_and_look, range(24)))
    assert set(Counter(line["process"] for line in workers.lines("operation"))) == {"worker-1", "worker-2"}


def test_an_explained_order_tells_its_steps_which_another_process_took(workers: Workers) -> None:
    body = {
        "query": PLACE_ORDER,
        "variables": {"input": order_input(lines=[("SKU-0020", 1)]), "key": str(uuid.uuid4())},
        "extensions": {"explain": True},
    }
    answer = httpx.post(f"{workers.url}/graphql", json=body, headers=OPERATOR, timeout=60).json()

    saga = answer["extensions"]["explain"]["fields"][0]["saga"]
    assert (saga["run"]["id"], saga["run"]["isNew"]) == (answer["data"]["placeOrder"]["sagaId"], True)
    assert {each["run"]["status"] for each in saga["steps"]} == {"DONE"}
    assert all(0 <= each["run"]["startMilliseconds"] < saga["run"]["milliseconds"] for each in saga["steps"])


# -- something dies ----------------------------------------------------------------------------------------------------


def test_a_killed_worker_costs_only_what_it_was_answering(workers: Workers) -> None:
    keys = [str(uuid.uuid4()) for _ in range(24)]
    with ThreadPoolExecutor(8) as clients:
        placing = [clients.submit(workers.place_until_done, key) for key in keys]
        time.sleep(0.3)
        workers.kill("worker-1")
        outcomes = [each.result() for each in placing]

    assert {each["status"] for each in outcomes} == {"COMPLETED"}
    assert_balanced(workers.demo, {each["sagaId"]: each["status"] for each in outcomes})
    (death,) = workers.lines("process died")
    assert (death["died"], death["how"]) == ("worker-1", "was killed by SIGKILL")


def test_a_killed_saga_process_loses_no_acknowledged_order_and_doubles_none(workers: Workers) -> None:
    keys = [str(uuid.uuid4()) for _ in range(30)]
    acknowledged: dict[str, str] = {}

    def order(key: str) -> dict[str, Any]:
        payload = workers.place(key)
        if "sagaId" in payload:
            acknowledged[key] = payload["sagaId"]
        return workers.place_until_done(key)

    with ThreadPoolExecutor(10) as clients:
        placing = [clients.submit(order, key) for key in keys]
        time.sleep(0.4)
        workers.kill("sagas")
        query = workers.post("{ __typename }")
        outcomes = {key: each.result() for key, each in zip(keys, placing, strict=True)}

    assert query == {"data": {"__typename": "Query"}}
    assert {each["status"] for each in outcomes.values()} == {"COMPLETED"}
    assert {key: outcomes[key]["sagaId"] for key in acknowledged} == acknowledged
    assert_balanced(workers.demo, {each["sagaId"]: each["status"] for each in outcomes.values()})
    workers.wait_until_sagas_are("ok")


def test_an_order_in_the_middle_of_its_steps_outlives_the_saga_process_and_its_waiter_is_answered(
    workers: Workers,
) -> None:
    workers.demo.service("payments").fault({"latency": 1.5})
    with ThreadPoolExecutor(1) as client:
        placing = client.submit(workers.place, str(uuid.uuid4()))
        time.sleep(1.0)
        workers.kill("sagas")
        workers.demo.service("payments").heal()
        outcome = placing.result()

    assert outcome["__typename"] in ("PlaceOrderCompleted", "SagaAccepted")
    wait_until(
        lambda: (
            workers.post(SAGA, {"id": outcome["sagaId"]}).get("errors") is not None
            or workers.post(SAGA, {"id": outcome["sagaId"]})["data"]["saga"]["status"] == "COMPLETED"
        ),
        saying="it ends",
    )
    assert_balanced(workers.demo, {outcome["sagaId"]: "COMPLETED"})


def test_while_the_saga_process_cannot_start_begins_are_refused_at_once_and_queries_go_on(workers: Workers) -> None:
    journal = workers.folder / "journal.sqlite3"
    kept = journal.read_bytes()
    pid = workers.pids()["sagas"]
    os.kill(pid, signal.SIGSTOP)  # so that it cannot write while its file is spoilt
    for spoilt in (journal, journal.with_name("journal.sqlite3-wal")):
        spoilt.write_bytes(b"no database" * 1000)
    os.kill(pid, signal.SIGKILL)
    workers.wait_until_sagas_are("unreachable")

    began = time.monotonic()
    assert workers.place(str(uuid.uuid4())) == {"code": "SAGAS_UNAVAILABLE"}
    assert time.monotonic() - began < 2
    assert workers.post("{ __typename }") == {"data": {"__typename": "Query"}}
    assert workers.metrics()["sagaql_process_up", (("process", "sagas"),)] == 0

    journal.write_bytes(kept)
    journal.with_name("journal.sqlite3-wal").unlink(missing_ok=True)
    workers.wait_until_sagas_are("ok")
    assert workers.place(str(uuid.uuid4()))["__typename"] == "PlaceOrderCompleted"


def test_nothing_outlives_a_killed_supervisor_and_the_next_one_goes_on(workers: Workers) -> None:
    key = str(uuid.uuid4())
    placed = workers.place(key)
    pids = workers.pids()
    workers.process.kill()
    workers.exit_code()

    workers.assert_nothing_is_left(pids)
    workers.start()
    wait_until(lambda: workers.said.count("all processes ready") == 2, saying="up again", within=60)
    assert workers.place(key)["sagaId"] == placed["sagaId"]


# -- leaving -----------------------------------------------------------------------------------------------------------


class Load(threading.Thread):
    """Clients that ask, each on a connection of its own, until they are refused one."""

    def __init__(self, workers: Workers) -> None:
        super().__init__(daemon=True)
        self.workers = workers
        self.answers: list[int] = []
        self.errors: list[Any] = []
        self.failures: list[str] = []
        self.has_ended = threading.Event()

    def run(self) -> None:
        while not self.has_ended.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.workers.port, timeout=30)
            with closing(connection):
                try:
                    connection.connect()
                except ConnectionRefusedError:
                    return
                try:
                    connection.request("POST", "/graphql", body=LOOK, headers={"content-type": "application/json"})
                    answer = connection.getresponse()
                    self.answers.append(answer.status)
                    self.errors += json.loads(answer.read()).get("errors", [])
                except (OSError, http.client.HTTPException) as error:
                    self.failures.append(repr(error))


LOOK = json.dumps({"query": "{ products(first: 2) { edges { node { name } } } }"})


def test_a_signal_under_load_fails_nothing_that_was_accepted(workers: Workers) -> None:
    loads = [Load(workers) for _ in range(6)]
    for load in loads:
        load.start()
    time.sleep(1.5)
    pids = workers.pids()
    workers.process.terminate()
    assert workers.exit_code() == 0
    for load in loads:
        load.has_ended.set()
        load.join(30)

    failures = [failure for load in loads for failure in load.failures]
    answered = sum(len(load.answers) for load in loads)
    assert answered > 50
    # Who comes after the signal and before the port is closed is refused in words; nobody who was admitted failed.
    assert {status for load in loads for status in load.answers} <= {200, 503}
    # A connection whose request no worker had read when it closed is reset: nothing was asked, as the count below proves.
    assert len(failures) <= 2 * len(loads), failures
    assert {error["extensions"]["code"] for load in loads for error in load.errors} <= {"DRAINING"}
    operations = len(workers.lines("operation"))
    assert operations == answered, "an operation was run whose answer nobody got"
    workers.assert_nothing_is_left(pids)


def test_a_second_signal_does_not_wait(workers: Workers) -> None:
    workers.demo.service("payments").fault({"latency": 8})
    with ThreadPoolExecutor(1) as client:
        placing = client.submit(
            lambda: httpx.post(f"{workers.url}/graphql", json=PATIENT, headers=CUSTOMER, timeout=60)
        )
        time.sleep(1)
        pids = workers.pids()
        workers.process.send_signal(signal.SIGINT)
        wait_until(lambda: bool(workers.lines("draining")), saying="draining")
        began = time.monotonic()
        workers.process.send_signal(signal.SIGINT)

        assert workers.exit_code() == 0
        assert time.monotonic() - began < 4
        with suppress(httpx.TransportError):
            placing.result()
    workers.demo.service("payments").heal()
    wait_until(lambda: not any(lives(pid) for pid in pids.values()), saying="no child lives")


PATIENT = {
    "query": PLACE_ORDER,
    "variables": {"input": order_input(), "key": "patient"},
}


# -- starts that fail --------------------------------------------------------------------------------------------------


def test_a_start_that_cannot_succeed_ends_all_of_it_with_the_childs_sentence_and_code(
    workers: Workers, demo: Demo, tmp_path: Path
) -> None:
    second = tmp_path / "second"
    second.mkdir()
    with serving(demo, second) as other:
        # the same journal: its lock is held by the first gateway
        other.process.kill()
        other.exit_code()
        (second / "output").write_bytes(b"")
        (second / "journal.sqlite3.lock").symlink_to(tmp_path / "journal.sqlite3.lock")
        other.start()

        assert other.exit_code() == 1
        told = [line for line in other.said.splitlines() if line.startswith("✗")]
        assert len(told) == 1, other.said
        assert "is owned by another process" in told[0]
        assert not is_listening(other.port)


def test_a_graph_that_is_not_there_is_told_once_and_not_by_every_process(demo: Demo, tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text('graph.query = "no_such_module:Query"', encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", "--config", str(tmp_path / "gateway.toml"), "--workers", "2"],
        env=os.environ | {"SAGAQL_PORT": str(free_ports(1))},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == 2, ended.stderr
    assert len([line for line in ended.stderr.splitlines() if line.startswith("✗")]) == 1
    assert "importing no_such_module fails" in ended.stderr
    assert "Traceback" not in ended.stderr
