"""Files and functions stay small; the lists of exceptions may only shrink."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "poise").rglob("*.py"))
MAX_FILE, MAX_BODY = 500, 60

#: Files that are only tables of data.
TABLES = ("poise/schemas/", "poise/registry/tables/", "poise/zoo/parts/")

#: Functions longer than the budget, with the length they may have at most.
LONG_FUNCTIONS: dict[str, int] = {}


def body_lines(function: ast.FunctionDef) -> int:
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_file_and_functions_are_within_the_budget(path):
    name = str(path.relative_to(ROOT))
    text = path.read_text()
    if not name.startswith(TABLES):
        assert len(text.splitlines()) <= MAX_FILE, (
            f"{name} has more than {MAX_FILE} lines: split it by idea"
        )
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            limit = LONG_FUNCTIONS.get(f"{name}:{node.name}", MAX_BODY)
            assert body_lines(node) <= limit, (
                f"{name}:{node.lineno} {node.name} is longer than {limit} lines"
            )


def test_list_of_exceptions_holds_nothing_that_fits():
    for entry, limit in LONG_FUNCTIONS.items():
        name, _, function = entry.partition(":")
        tree = ast.parse((ROOT / name).read_text())
        lengths = [
            body_lines(n)
            for n in ast.walk(tree)
            if isinstance(n, ast.FunctionDef) and n.name == function
        ]
        assert lengths, f"{entry} does not exist any more: remove it from the list"
        assert max(lengths) > MAX_BODY, f"{entry} fits now: remove it from the list"
        assert max(lengths) == limit, f"{entry}: write its present length {max(lengths)}"
