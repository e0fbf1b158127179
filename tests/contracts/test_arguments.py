"""Classes and functions take MMPose's arguments, in their order and with their defaults."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

from poise import registry
from poise.config.paths import resolve

#: (name, argument) -> Poise's default, where it differs on purpose
DEFAULTS = {
    ("BadCaseAnalysisHook", "metric"): None,  # KeypointMSELoss, filled in later
    ("PoseLocalVisualizer", "line_width"): None,  # by the size of the person
    ("PoseLocalVisualizer", "radius"): None,
    ("QuadraticWarmupParamScheduler", "param_name"): "lr",
    ("TCN", "init_cfg"): None,  # MMPose's has no effect
}


def signatures():
    text = (Path(__file__).parent / "mmpose_arguments.txt").read_text()
    for line in text.splitlines()[2:]:
        names, *arguments = line.split("; ")
        kind, *names = names.split()
        pairs = (argument.partition("=") for argument in arguments)
        expected = {name: ast.literal_eval(value) if value else ... for name, _, value in pairs}
        yield from ((kind, name, expected) for name in names)


def plain(value):
    """Lists for tuples, which configs do not tell apart."""
    return list(map(plain, value)) if isinstance(value, list | tuple) else value


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    list(signatures()),
    ids=lambda part: part if str(part) == part else "",
)
def test_arguments_of_mmpose_are_taken(kind, name, expected):
    Parameter = inspect.Parameter
    if kind.startswith("mmpose."):
        module, _, place = resolve(f"{kind}.{name}").partition(":")
        found = getattr(importlib.import_module(module), place)
    else:
        found = getattr(registry, kind).get(name)
    own = inspect.signature(found).parameters
    by_place = [name for name, p in own.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    by_name = {p.kind for p in own.values()} & {Parameter.VAR_KEYWORD, Parameter.KEYWORD_ONLY}
    # what a base class takes is passed on by name
    named = min(len(expected), len(by_place)) if by_name else len(expected)
    assert by_place[:named] == list(expected)[:named]
    assert own.keys() >= expected.keys() or Parameter.VAR_KEYWORD in by_name
    for argument in own.keys() & expected:
        default = own[argument].default
        default = ... if default is Parameter.empty else default
        wanted = DEFAULTS.get((name, argument), expected[argument])
        assert plain(default) == plain(wanted), argument
