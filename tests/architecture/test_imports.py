"""The floors of the house, kept by import-linter; the contracts stand in pyproject.toml."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "resolvers", "mutations", "demo")
HTTP_CLIENTS = {"httpx", "aiohttp", "requests", "urllib3"}
FRONT_DOOR = "gateway/__init__.py"
WIRE_FILES = {"gateway/services/httpx_transport.py"}


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def modules_of_the_sdk() -> list[Path]:
    """Without what is generated."""
    return sorted((ROOT / "sdk" / "python" / "src" / "sagaql_client").glob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.Module) -> Iterator[str]:
    """Top-level names of absolute imports, wherever in the module they stand."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_every_import_contract_is_kept() -> None:
    checked = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_sdk_is_whole_without_a_checkout() -> None:
    reached = {name for path in (ROOT / "sdk" / "python" / "src").rglob("*.py") for name in imported(parsed(path))}

    assert not reached & {*PACKAGES, "graphql", "tests"}


def test_every_module_opens_with_what_it_is() -> None:
    silent = [name_of(path) for path in [*modules(), *modules_of_the_sdk()] if not ast.get_docstring(parsed(path))]

    assert not silent, "say in a docstring what it is, its invariant, and where the idea comes from"


def test_http_clients_are_spoken_in_the_wire_files_only() -> None:
    speaking = {name_of(path) for path in modules() if HTTP_CLIENTS & set(imported(parsed(path)))}

    assert speaking == WIRE_FILES


def test_imports_inside_the_engine_are_relative() -> None:
    engine = [path for path in modules() if path.is_relative_to(ROOT / "gateway")]

    assert not [name_of(path) for path in engine if "gateway" in set(imported(parsed(path)))]


def test_a_package_of_the_engine_or_the_shop_lists_public_names_and_nothing_else() -> None:
    # The graph's packages are left out: their root types stand where gateway.toml says "mutations:Mutation".
    packages = [
        path for path in modules() if path.name == "__init__.py" and name_of(path).startswith(("gateway", "demo"))
    ]

    strangers = {
        name_of(path): [ast.unparse(each) for each in parsed(path).body if not is_listing(each)] for path in packages
    }

    strangers.pop(FRONT_DOOR)  # imports when first asked for; the next test says what that is for
    assert {name: found for name, found in strangers.items() if found} == {}


def test_the_front_door_opens_at_once_and_leads_to_every_name() -> None:
    probe = (
        "import sys, gateway; slow = {'strawberry', 'graphql', 'aiohttp'} & set(sys.modules); assert not slow, slow\n"
        "for name in gateway.__all__: assert getattr(gateway, name) is not None, name"
    )
    opened = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert opened.returncode == 0, opened.stderr


def is_listing(statement: ast.stmt) -> bool:
    """A docstring, an import, or `__all__`."""
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case _:
            return False
