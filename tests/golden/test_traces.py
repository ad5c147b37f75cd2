"""What the core does in representative sagas, as it was agreed: a change of a trace is a change of the core's version.

To renew the files after a change that is meant: count CORE_VERSION up, then `python -m tests.golden.test_traces`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.sagas.core import CORE_VERSION
from tests.golden.scenes import SCENES
from tests.numbers import assert_told

FOLDER = Path(__file__).parent / "traces"
RENEW = (
    "the core decides otherwise than it did. If that is meant, open sagas will go on otherwise after an upgrade: count "
    "gateway.sagas.core.CORE_VERSION up, run python -m tests.golden.test_traces, and read the difference"
)


def kept(name: str) -> Path:
    return FOLDER / f"{name}.txt"


def text(name: str) -> str:
    """A trace with the version of the core that it belongs to."""
    return f"core version {CORE_VERSION}\n\n{SCENES[name]().trace}"


@pytest.mark.parametrize("name", SCENES)
def test_the_core_does_what_it_did(name: str) -> None:
    version, _, trace = kept(name).read_text().partition("\n\n")
    assert trace == SCENES[name]().trace, RENEW
    assert version == f"core version {CORE_VERSION}", "the version was counted up: renew the traces"


def test_every_trace_that_is_kept_has_its_scene() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.txt")) == sorted(SCENES)
    assert_told("Golden traces of the core", len(SCENES))


def renew() -> None:
    """Write all traces anew. Raises: SystemExit when one has changed and the version has not."""
    for name in SCENES:
        before = kept(name).read_text() if kept(name).exists() else ""
        after = text(name)
        if before and before != after and before.splitlines()[0] == after.splitlines()[0]:
            raise SystemExit(f"{name}: {RENEW}")
        kept(name).write_text(after)


if __name__ == "__main__":
    renew()
