"""Any order of requests, repeats and undos, against a model of what one key may have done."""

from __future__ import annotations

import sqlite3
from collections import Counter

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from demo import inventory
from demo.kit import idempotency, ledger
from demo.kit.answers import Answer
from demo.kit.work import Work

PIECES = 3
KEYS = st.sampled_from(["a", "b", "c", "d", "e"])
RESERVE = {"lines": [{"sku": "LAMP", "quantity": 1}]}


class UndoMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.executescript(";".join((inventory.SERVICE.schema, ledger.SCHEMA, idempotency.SCHEMA)))
        self.connection.execute("INSERT INTO stock VALUES ('LAMP', ?, 0, 'BER-1')", (PIECES,))
        self.state: dict[str, str] = {}
        self.undos = 0

    def teardown(self) -> None:
        self.connection.close()

    @rule(key=KEYS)
    def request_arrives(self, key: str) -> None:
        answer = self._send("/reservations", RESERVE, key=key)
        match self.state.get(key):
            case None:
                has_room = Counter(self.state.values())["held"] < PIECES
                self.state[key] = "held" if has_room else "refused"
                assert (answer.status, answer.replayed) == (201 if has_room else 409, False)
            case "tombstoned":
                assert (answer.status, answer.replayed) == (410, False)
            case "refused":
                assert (answer.status, answer.replayed) == (409, True)
            case _:
                assert (answer.status, answer.replayed) == (201, True)

    @rule(key=KEYS)
    def undo_arrives(self, key: str) -> None:
        self.undos += 1
        answer = self._send("/reservations/release", {"forwardKey": key}, key=f"undo-{self.undos}")
        was_held = self.state.get(key) in ("held", "released")
        assert msgspec.json.decode(answer.body) == {"released": was_held}
        self.state[key] = "released" if was_held else "tombstoned"

    @invariant()
    def stock_is_held_by_the_living_only(self) -> None:
        [reserved] = self.connection.execute("SELECT reserved FROM stock").fetchone()
        assert reserved == Counter(self.state.values())["held"]

    @invariant()
    def the_ledger_tells_each_effect_once(self) -> None:
        entries = ledger.entries(self.connection)
        made = Counter(entry.key for entry in entries if entry.effect == "reserve")
        unmade = Counter(entry.forward_key for entry in entries if entry.effect == "release")
        assert made == Counter(key for key, state in self.state.items() if state in ("held", "released"))
        assert unmade == Counter(key for key, state in self.state.items() if state == "released")

    def _send(self, path: str, body: object, *, key: str) -> Answer:
        write = inventory.SERVICE.writes[path]
        raw = msgspec.json.encode(body)
        keyed = idempotency.Keyed(key, idempotency.fingerprint("POST", path, raw), at="now")
        work = Work(self.connection, key, "now")
        return idempotency.perform(
            self.connection, keyed, lambda: write.handle(work, msgspec.json.decode(raw, type=write.body))
        )


TestUndoMachine = UndoMachine.TestCase
TestUndoMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
