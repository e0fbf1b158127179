"""Values of `KEY=VALUE` are those of MMEngine's DictAction."""

import argparse

import pytest

from poise.config import DictAction, parse_override, parse_overrides
from poise.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-2", -2),
        ("1e-3", 1e-3),
        ("1.", 1.0),
        ("inf", float("inf")),
        ("True", True),
        ("false", False),
        ("None", None),
        ("none", "none"),
        ("abc", "abc"),
        ("'abc'", "abc"),
        ('"1"', 1),
        ("", ""),
        ("1,2,3", [1, 2, 3]),
        ("a,b", ["a", "b"]),
        ("1,", [1]),
        ("[1, 2]", [1, 2]),
        ("(1,2)", (1, 2)),
        ("[]", []),
        ("()", ()),
        ("[(1, 2, 3), [a, b], c]", [(1, 2, 3), ["a", "b"], "c"]),
        ("[(V1,V2),(V3,V4)]", [("V1", "V2"), ("V3", "V4")]),
        ("(1,),(2,)", [(1,), (2,)]),
        ("[True,None,0.5]", [True, None, 0.5]),
        ("a=b", "a=b"),
        ("/my data/coco", "/my data/coco"),
        ("{'a': [1], 'b': None}", {"a": [1], "b": None}),
    ],
)
def test_values(text, value):
    assert parse_override(f"a.b.0={text}") == ("a.b.0", value)
    assert type(parse_override(f"k={text}")[1]) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abc", r"override 'abc' is not KEY=VALUE"),
        ("=1", r"is not KEY=VALUE"),
        ("a..b=1", r"is not KEY=VALUE"),
        ("a=[1,2", r"override 'a=\[1,2': '\]' is missing"),
        ("a=(1]", r"'\]' closes nothing"),
        ("a=1)", r"'\)' closes nothing"),
        ("a={b}", r"is not a dict of literals"),
    ],
)
def test_faults(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_override(text)


def test_later_overrides_win_and_argparse_collects_them():
    assert parse_overrides(["a=1", "b=2", "a=3"]) == {"a": 3, "b": 2}
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    args = parser.parse_args(["--cfg-options", "a.b=1,2", "c=x", "--cfg-options", "d=(3,)"])
    assert args.cfg_options == {"a.b": [1, 2], "c": "x", "d": (3,)}
