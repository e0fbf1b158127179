"""The lazy name tables and the decorators say the same."""

import ast
from pathlib import Path

import pytest

from poise.registry import ALL
from poise.registry.resolve import import_target

ROOT = Path(__file__).resolve().parents[2]
#: variable in code -> kind
VARIABLES = {
    "KEYPOINT_CODECS": "codecs",
    "DATA_SAMPLERS": "samplers",
    "VISBACKENDS": "vis_backends",
    "EVALUATOR": "evaluators",
    **{kind.upper(): kind for kind in ALL},
}
ROWS = [
    (kind, scope, name, target)
    for kind, registry in ALL.items()
    for (scope, name), target in registry._table.items()
]


@pytest.mark.parametrize(("kind", "scope", "name", "target"), ROWS)
def test_every_row_of_the_table_leads_to_an_object(kind, scope, name, target):
    assert callable(import_target(target)), f"{kind} {scope}.{name}: {target} is not callable"


def decorated():
    """(file, kind, class) for every registering decorator in the package."""
    for path in sorted((ROOT / "poise").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                continue
            for d in node.decorator_list:
                call = d.func if isinstance(d, ast.Call) else d
                if isinstance(call, ast.Attribute) and call.attr == "register_module":
                    yield path, VARIABLES[call.value.id], node.name


def test_every_decorated_class_is_in_the_table():
    known = {(kind, target) for kind, _, _, target in ROWS}
    missing = []
    for path, kind, name in decorated():
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        module = module.removesuffix(".__init__")
        if (kind, f"{module}:{name}") not in known:
            missing.append(f"{kind}: {module}:{name}")
    assert not missing, f"add rows in poise/registry/tables for {missing}"
