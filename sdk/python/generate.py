"""Generates `sagaql_client/graph` from `schema.graphql` and `sdk/operations`: `python generate.py [--into FOLDER]`.

ariadne-codegen makes the types and the client's methods; the plugin below only says what a method's body is, by what its operation
is: a query, a saga, or a saga's events. Invariant: an operation that is none of these is refused, in a sentence with the remedy.
Runs in an environment of its own (`make sdk-generate`): the generator needs an older graphql-core than the gateway.
"""

from __future__ import annotations

import argparse
import ast
import shutil
from pathlib import Path
from typing import Any

from ariadne_codegen.main import client as generate_client
from ariadne_codegen.plugins.base import Plugin
from ariadne_codegen.utils import str_to_pascal_case
from graphql import (
    FieldNode,
    GraphQLUnionType,
    OperationDefinitionNode,
    OperationType,
    get_named_type,
)

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACKAGE = HERE / "src" / "sagaql_client"
NAME = "graph"

_QUERY = """
async def method(self) -> Result[{model}]:
    return await self._query({operation}, {model}, deadline=deadline)
"""
_SAGA = """
async def method(self) -> Result[{model}]:
    return await self._settle({operation}, {field!r}, {model}, key=key, deadline=deadline)
"""
_EVENTS = """
def method(self) -> AsyncGenerator[{model}]:
    return self._follow({operation}, {field!r}, {model}, deadline=deadline)
"""
_ABOVE = {"core": ("core", {"Core", "Operation"}), "base_model": ("model", {"UNSET", "UnsetType"})}
"""Generated imports of what the generator would copy, and where we have it."""


class Unfit(ValueError):
    """An operation that the SDK's core has no promise for."""


class Methods(Plugin):
    """The bodies of the client's methods, and imports of our own modules in place of the generator's."""

    def __init__(self, schema: Any, config_dict: dict[str, Any]) -> None:
        super().__init__(schema, config_dict)
        self._texts: dict[str, str] = {}
        self._told: dict[str, str] = {}
        """By module: the model that a method answers, where it is not its operation's own."""

    def generate_operation_str(self, operation_str: str, operation_definition: Any) -> str:
        self._texts[operation_definition.name.value] = operation_str
        return operation_str

    def generate_client_method(self, method_def: Any, operation_definition: OperationDefinitionNode) -> Any:
        name = operation_definition.name.value
        field = _root_field(operation_definition)
        template, model, extra = self._kind(operation_definition, field)
        variables = next(ast.unparse(each.value) for each in method_def.body if isinstance(each, ast.AnnAssign))
        operation = f"Operation({_constant(name)}, {name!r}, {variables})"
        made = ast.parse(template.format(model=model, operation=operation, field=_key_of(field))).body[0]
        described = self._root_type(operation_definition).fields[field.name.value].description
        made.body.insert(0, ast.Expr(ast.Constant(described.partition("\n")[0])))
        made.name, made.args, made.lineno = method_def.name, method_def.args, method_def.lineno
        made.args.kwarg = None
        made.args.kwonlyargs = [ast.arg(each, ast.parse(kind, mode="eval").body) for each, kind in extra.items()]
        made.args.kw_defaults = [ast.Constant(None)] * len(extra)
        return made

    def _kind(self, operation: OperationDefinitionNode, field: FieldNode) -> tuple[str, str, dict[str, str]]:
        """The body's template, the model of what it answers, and the arguments beside the operation's own."""
        name, deadline = operation.name.value, {"deadline": "float | None"}
        model = str_to_pascal_case(name)
        match operation.operation:
            case OperationType.QUERY:
                return _QUERY, model, deadline
            case OperationType.MUTATION:
                success = model + str_to_pascal_case(_key_of(field)) + self._success_of(operation, field)
                self._told[_snake(name)] = success
                return _SAGA, success, {"key": "str | None", **deadline}
            case _:
                if field.name.value != "sagaEvents":
                    raise Unfit(f"{name}: only sagaEvents can be resumed, so it is the only subscription of this SDK")
                event = model + str_to_pascal_case(_key_of(field))
                self._told[_snake(name)] = event
                return _EVENTS, event, deadline

    def _success_of(self, operation: OperationDefinitionNode, field: FieldNode) -> str:
        """The member of a saga's payload that tells of success."""
        payload = get_named_type(self._root_type(operation).fields[field.name.value].type)
        members = [each.name for each in payload.types] if isinstance(payload, GraphQLUnionType) else []
        if "SagaAccepted" not in members:
            raise Unfit(
                f"{operation.name.value}: {field.name.value} is no saga; without an idempotency key it cannot be sent again"
            )
        return next(each for each in members if each.endswith("Completed"))

    def _root_type(self, operation: OperationDefinitionNode) -> Any:
        return self.schema.get_root_type(operation.operation)

    # -- imports -------------------------------------------------------------------------------------------------------

    def generate_client_import(self, import_: ast.ImportFrom) -> ast.ImportFrom:
        return _from_above(import_)

    def generate_client_module(self, module: ast.Module) -> ast.Module:
        body = [each for each in module.body if not isinstance(each, ast.FunctionDef)]  # gql(), which nothing needs
        for each in body:
            if isinstance(each, ast.ImportFrom) and each.module in self._told:
                each.names = [ast.alias(self._told[each.module])]
        texts = [f"{_constant(name)} = {text!r}" for name, text in self._texts.items()]
        imports = ["from collections.abc import AsyncGenerator", "from ..result import Result"]
        added = ast.parse("\n".join([*imports, *texts])).body
        first_class = next(place for place, each in enumerate(body) if isinstance(each, ast.ClassDef))
        module.body = [*added[:2], *body[:first_class], *added[2:], *body[first_class:]]
        return ast.fix_missing_locations(module)

    def generate_init_import(self, import_: ast.ImportFrom) -> ast.ImportFrom:
        return _from_above(import_)

    def copy_code(self, copied_code: str) -> str:
        return '"""What generated types are made of: the SDK\'s own."""\n\nfrom ..model import BaseModel as BaseModel\n'


def _from_above(import_: ast.ImportFrom) -> ast.ImportFrom:
    if import_.module in _ABOVE and import_.level == 1:
        module, ours = _ABOVE[import_.module]
        if module == "core":
            import_.names = [ast.alias(each) for each in sorted(ours)]
        import_.module, import_.level = module, 2
    return import_


def _root_field(operation: OperationDefinitionNode) -> FieldNode:
    """Raises: Unfit for a mutation or subscription of several fields."""
    fields = [each for each in operation.selection_set.selections if isinstance(each, FieldNode)]
    if operation.operation is not OperationType.QUERY and len(fields) != 1:
        raise Unfit(f"{operation.name.value}: a mutation has one field, since a key is of one saga")
    return fields[0]


def _key_of(field: FieldNode) -> str:
    return (field.alias or field.name).value


def _constant(name: str) -> str:
    return _snake(name).upper()


def _snake(name: str) -> str:
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name).lstrip("_")


def generate(into: Path) -> None:
    """Write the package `graph` into the folder; what stood there under that name is gone."""
    shutil.rmtree(into / NAME, ignore_errors=True)
    settings = {
        "schema_path": str(ROOT / "schema.graphql"),
        "queries_path": str(ROOT / "sdk" / "operations"),
        "target_package_path": str(into),
        "target_package_name": NAME,
        "base_client_name": "Core",
        "base_client_file_path": str(PACKAGE / "core.py"),
        "include_comments": "none",
        "include_all_inputs": False,
        "include_all_enums": False,
        "multipart_uploads": False,
        "use_alias_generator": True,  # type checkers would take an alias for the only name of an argument
        "plugins": [f"{__name__}.Methods"],
        "scalars": {"DateTime": {"type": "datetime.datetime"}},
    }
    generate_client({"tool": {"ariadne-codegen": settings}})
    (into / NAME / "core.py").unlink()  # the generator copies the base class; ours stays where it is


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--into", type=Path, default=PACKAGE)
    generate(arguments.parse_args().into)


if __name__ == "__main__":
    main()
