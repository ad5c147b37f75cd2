"""`sagaql explain`: where the document comes from, what is printed, and every mistake as a sentence with exit code 2."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli import app
from gateway.execution.cost import Cost
from gateway.execution.explaining import explanation
from gateway.execution.explaining.as_json import is_told
from gateway.loading.records import camel
from gateway.terminal import INVALID

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "guides" / "explain.md").read_text(encoding="utf-8")
EXAMPLE = re.findall(r"^```graphql\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)[0]
TWO = "query A { products { totalCount } } query B($id: ID!) { product(id: $id) { sku } }"


def explain(*arguments: str, stdin: str | None = None, environment: dict[str, str] | None = None) -> Result:
    config = ("--config", str(ROOT / "gateway.toml"))
    runner = CliRunner(env={"SAGAQL_CONFIG": None, "COLUMNS": None, **(environment or {})})
    return runner.invoke(app, ["explain", *arguments, *config], input=stdin)


@pytest.fixture
def document(tmp_path: Path) -> Path:
    file = tmp_path / "two.graphql"
    file.write_text(TWO, encoding="utf-8")
    return file


def test_a_file_is_explained_on_standard_output_alone(document: Path) -> None:
    result = explain(str(document), "--operation", "A")

    assert result.exit_code == 0
    assert result.stdout.startswith(
        "query A · answered within 10 s\n└── products(first: 20): ProductConnection · resolver\n"
    )
    assert result.stderr == ""
    assert "\x1b" not in result.stdout
    assert not [line for line in result.stdout.splitlines() if line != line.rstrip()]


def test_a_dash_reads_standard_input() -> None:
    assert explain("-", stdin="{ products { totalCount } }").stdout.startswith("query · answered")


def test_json_is_data_for_tools(document: Path) -> None:
    told = json.loads(explain(str(document), "--operation", "B", "--variables", '{"id": "x"}', "--json").stdout)

    assert (told["version"], told["operation"], told["name"]) == (1, "query", "B")
    assert told["fields"][0]["arguments"] == {"id": '"x"'}
    assert told["services"][0]["instances"] is None, "the demo's addresses are asked for at start, and not by explain"


def test_variables_may_stand_in_a_file(document: Path, tmp_path: Path) -> None:
    (tmp_path / "variables.json").write_text('{"id": "from-a-file"}', encoding="utf-8")

    result = explain(str(document), "--operation", "B", "--variables", f"@{tmp_path / 'variables.json'}")

    assert '"from-a-file"' in result.stdout


def test_a_mutation_has_the_deadline_of_mutations() -> None:
    document = "mutation ($i: CancelOrderInput!) { cancelOrder(input: $i) { __typename } }"

    assert explain("-", stdin=document).stdout.startswith("mutation · answered within 15 s")


@pytest.mark.parametrize(
    ("arguments", "stdin", "sentences"),
    [
        (["no/such/file"], None, ["the document cannot be read from no/such/file: No such file or directory"]),
        (["-"], "{ products { ", ["standard input:1:14: Syntax Error: Expected Name, found <EOF>."]),
        (
            ["-"],
            "{\n  nothing\n  product { sku }\n}",
            [
                "standard input:2:3: Cannot query field 'nothing' on type 'Query'.",
                "standard input:3:3: Argument 'Query.product(id:)' of type 'ID!' is required, but it was not provided.",
            ],
        ),
        (["-"], TWO, ["standard input has 2 operations: say which with --operation (A, B)"]),
        (["-", "--operation", "C"], TWO, ["standard input has no operation 'C' (it has: A, B)"]),
        (
            ["-", "--operation", "C"],
            "{ __typename }",
            ["standard input has no operation 'C' (it has: one without a name)"],
        ),
        (["-", "--variables", "[1]"], "{ __typename }", ["--variables is no JSON object: write '{\"name\": 1}'"]),
        (["-", "--variables", "@no/file"], "{ __typename }", ["--variables cannot be read from no/file: No such file"]),
        (["-", "--variables", '{"x": 1}'], "{ __typename }", ["$x is no variable of the operation (it has: none)"]),
        (["-", "--operation", "B", "--variables", "{}"], TWO, ["Variable '$id' has invalid value"]),
        (["-"], "fragment F on Query { __typename }", ["standard input:1:1: Fragment 'F' is never used."]),
    ],
)
def test_a_mistake_is_a_sentence(arguments: list[str], stdin: str | None, sentences: list[str]) -> None:
    result = explain(*arguments, stdin=stdin)

    assert (result.exit_code, result.stdout) == (INVALID, "")
    told = result.stderr.splitlines()
    assert len(told) == len(sentences)
    assert all(line.startswith(f"✗ {sentence}") for line, sentence in zip(told, sentences, strict=True)), told


def test_variables_that_are_no_json_are_told_how_to_write_them() -> None:
    result = explain("-", "--variables", "{id: 1}", stdin="{ __typename }")

    assert result.exit_code == INVALID
    assert "--variables is no JSON" in result.stderr
    assert "@FILE" in result.stderr


def test_a_document_of_more_tokens_than_are_served_is_refused() -> None:
    result = explain("-", stdin="{" + " __typename" * 2_001 + "}")

    assert result.exit_code == INVALID
    assert "2000" in result.stderr.replace(",", "")


@pytest.mark.parametrize(
    ("document", "setting"),
    [
        ("{" + " __typename" * 2_001 + "}", "operation.max_tokens"),
        ("{" + "".join(f" a{each}: __typename" for each in range(51)) + "}", "operation.bounds.aliases"),
        ("{ product(id: 1)" + " { stock" * 20 + " { sku }" + " }" * 21, "operation.bounds.depth"),
        ("query A { __typename }\n" * 1 + "fragment F on Query { __typename }\n" * 101, "operation.bounds.definitions"),
        ("{ a: __schema { __typename } }".replace("a:", "") * 6, "operation.bounds.introspections"),
        ("{" + " ... @defer { __typename }" * 33 + "}", "operation.max_deferrals"),
    ],
)
def test_what_a_gateway_refuses_is_refused_by_the_name_of_the_bound(document: str, setting: str) -> None:
    result = explain("-", stdin=document)

    assert (result.exit_code, result.stdout) == (INVALID, "")
    assert setting in result.stderr


def test_a_trusted_document_has_no_bounds_here_either(tmp_path: Path) -> None:
    text = "{" + "".join(f" a{each}: __typename" for each in range(60)) + "}"
    (tmp_path / "wide.graphql").write_text(text, encoding="utf-8")
    trusting = {"SAGAQL_OPERATION__TRUSTED": str(tmp_path)}

    assert explain("-", stdin=text).exit_code == INVALID
    assert explain("-", stdin=text, environment=trusting).exit_code == 0
    assert explain("-", stdin=text.replace("a0", "other"), environment=trusting).exit_code == INVALID


@pytest.mark.parametrize(
    ("mode", "most", "said"),
    [
        ("enforce", "51", "estimated 51: 4 calls at 10, 11 objects; operation.max_cost is 51"),
        ("enforce", "50", "estimated 51: 4 calls at 10, 11 objects; refused: operation.max_cost is 50"),
        ("measure", "50", "11 objects; would be refused: operation.max_cost is 50"),
    ],
)
def test_what_an_operation_may_cost_stands_beside_its_estimate(mode: str, most: str, said: str) -> None:
    environment = {"SAGAQL_OPERATION__COST": mode, "SAGAQL_OPERATION__MAX_COST": most}

    assert said in " ".join(explain("-", stdin=EXAMPLE, environment=environment).stdout.split())


def test_a_file_that_is_no_text_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe")

    assert "it is no UTF-8" in explain(str(tmp_path / "x")).stderr


# -- the guide ---------------------------------------------------------------------------------------------------------


def test_the_example_of_the_guide_is_what_is_printed() -> None:
    shown = re.search(r"^```graphql\n(.*?)^```\n\n```\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    assert shown is not None

    assert explain("-", stdin=shown[1]).stdout == shown[2]


@pytest.mark.parametrize(
    "data",
    [
        explanation.Explanation,
        explanation.ExplainedField,
        explanation.ExplainedJoin,
        explanation.ExplainedFallback,
        explanation.ExplainedSaga,
        explanation.ExplainedStep,
        explanation.Call,
        explanation.Summary,
        explanation.SlowestPath,
        explanation.Effect,
        explanation.NullAt,
        explanation.MeasuredRun,
        explanation.MeasuredRead,
        explanation.MeasuredSaga,
        explanation.MeasuredStep,
    ],
)
def test_the_guide_names_every_member_of_the_json(data: type) -> None:
    assert [name for each in fields(data) if is_told(each) and f"`{(name := camel(each.name))}`" not in GUIDE] == []


@pytest.mark.parametrize("member", ["total", *map(camel, Cost.__struct_fields__)])
def test_the_guide_names_every_part_of_a_cost(member: str) -> None:
    assert f"`{member}`" in GUIDE
