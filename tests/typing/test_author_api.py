"""mypy and pyright, both strict, refuse what `author_api.py` marks as refused, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

pytestmark = pytest.mark.typing

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_name("author_api.py")
IGNORE = re.compile(r"  # type: ignore  (?=# refused)")

MYPY = """[mypy]
strict = true
python_version = 3.11
"""


def bare(folder: Path) -> Path:
    """The file without its ignores."""
    copy = folder / "bare_author_api.py"
    copy.write_text(IGNORE.sub("  ", SOURCE.read_text(encoding="utf-8")), encoding="utf-8")
    return copy


def marked(path: Path) -> set[int]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, start=1) if line.endswith("# refused")}


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.stdout


def compared(found: Sequence[tuple[int, str]], path: Path) -> None:
    """Every marked line has an error, and every error a marked line."""
    unexpected = [f"line {line}: {message}" for line, message in found if line not in marked(path)]
    passed = sorted(marked(path) - {line for line, _ in found})
    assert (unexpected, passed) == ([], [])


def test_mypy_refuses_what_is_marked_and_nothing_else(tmp_path: Path) -> None:
    path = bare(tmp_path)
    settings = tmp_path / "mypy.ini"
    settings.write_text(MYPY)
    said = run(sys.executable, "-m", "mypy", "--config-file", str(settings), "--output", "json", str(path))
    errors = [orjson.loads(line) for line in said.splitlines() if line.startswith("{")]
    compared([(error["line"], error["message"]) for error in errors if error["severity"] == "error"], path)


def test_pyright_refuses_what_is_marked_and_nothing_else(tmp_path: Path) -> None:
    path = bare(tmp_path)
    settings = {
        "include": [path.name],
        "extraPaths": [str(ROOT)],
        "pythonVersion": "3.11",
        "typeCheckingMode": "strict",
        "reportUnknownMemberType": False,
        "reportUnknownVariableType": False,
        "reportUnknownArgumentType": False,
    }
    (tmp_path / "pyrightconfig.json").write_bytes(orjson.dumps(settings))
    said = run(
        sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(tmp_path)
    )
    found = orjson.loads(said)["generalDiagnostics"]
    errors = [each for each in found if each["severity"] == "error"]
    compared([(each["range"]["start"]["line"] + 1, each["message"]) for each in errors], path)
