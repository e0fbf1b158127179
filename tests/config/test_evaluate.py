"""What the language of a config file gives, checked against Python itself."""

# Texts of configs and patterns of errors read better on one line.
# ruff: noqa: E501

import textwrap

import pytest

from poise.config import Config
from poise.errors import ConfigError

SNIPPETS = [
    "a = 1; b = -2.5e-3; c = True; d = None; e = 'x' 'y'; f = 0x10; g = b'z'; h = 1_000",
    "a = [1, (2,), {3: 'x'}, {'k': {4, 5}}]; b = ()",
    "a = dict(x=1, y=dict(z=[2])); b = dict(a, w=3); c = dict([('p', 1)], q=2); d = {**a, 'x': 9}",
    "a, (b, *c), d = 1, (2, 3, 4), 5; [e, f] = 'gh'",
    "a = b = [1]; b.append(2)",
    "x = {'a': [1]}; x['a'] += [2]; x['b'] = 3; x['a'][0] = 7; del x['b']; y = x['a'][-1:]",
    "a = [0, 1, 2, 3]; a[1:3] = [9]; b = a[::-1]; del a[0]",
    "n = 7; n += 1; n -= 2; n *= 3; n //= 4; n **= 2; n %= 5; m = n << 2 | 1; m ^= 3; s = 7 / 2",
    "a = (1 < 2 <= 2) and not (3 in [1]); b = 0 or 'x'; c = 'a' if a else 'b'; e = 1; d = e is None",
    "s = 'abc'; a = s[1:] * 2 + s.upper(); b = '%s-%02d' % (s, 5); c = '{}/{:>5}'.format(s, 1.5)",
    "w = 192; h = 256; a = f'{w}x{h:04d} {w / h:.2f} {w!r} {[w]}{{}}'; b = f'{w:{4 + 2}}'",
    "a = [i * j for i in range(4) if i % 2 for j in (1, 2)]; b = {k: v for k, v in zip('ab', a)}",
    "a = {i // 2 for i in range(4)}; b = list(i for i in range(3)); c = sum(x for x in b)",
    "a = tuple(s // 32 for s in (192, 256)); b = list(range(23, 91)); c = sorted([3, 1], reverse=True)",
    "names = ['a', 'b']; ds = []\nfor i, n in enumerate(names):\n    ds.append(dict(name=n, i=i))",
    "x = []\nfor i in range(9):\n    if i == 2: continue\n    if i > 4: break\n    x.append(i)\nelse:\n    x = None",
    "big = True\nif big:\n    lr = 1e-3\nelif None:\n    lr = 2\nelse:\n    lr = 3",
    "a = max(1, 2) + min([3, 4]) + abs(-1) + round(2.6) + len('xyz') + int('5') + bool([])",
    "a = float('inf'); b = str(1.5); c = any([0, 1]); d = all([]); e = list(reversed([1, 2]))",
    "d = dict(a=1); d.update(b=2); d.setdefault('c', []).append(1); x = d.pop('a'); y = d.get('q', 5); k = list(d.keys()); i = list(d.items())",
    "base = dict(lr=1, extra=dict(k=1)); base.update(dict(extra=dict(j=2))); c = base.copy()",
    "l = [3, 1, 2]; l.sort(); l.extend([4]); l.insert(0, 9); l.remove(9); p = l.pop(); i = l.index(2); n = l.count(1); l.reverse()",
    "a = 'x,y'.split(','); b = '/'.join(a); c = ' q '.strip().replace('q', 'r'); d = 'ab'.startswith('a')",
    "a: int = 3; b: list = [a]",
    "lr = 5e-4\nmodel = dict(lr=lr * 0.05, steps=[int(210 * f) for f in (0.8, 0.95)])",
    "x = y = dict(a=[1]); y['a'].append(2); z = [x, x]",
    "import math\na = math.pi * 2; b = math.ceil(math.sqrt(10))",
    "import copy\nfrom copy import deepcopy\na = [[1]]; b = deepcopy(a); b[0].append(2); c = copy.copy(a)",
    "import os.path as osp\nimport os\na = osp.join('data', 'x'); b = os.path.basename('a/b.c'); c = osp.splitext('a.b')[0]; d = osp.dirname('a/b')",
    "a = 1 if 0 else (2 if 1 else 3)\nassert a == 2, 'no'\npass\n'a docstring'",
    "a = [*range(2), *[5]]; b = dict(**dict(x=1), y=2); c = [1, 2][0:1] + list((3,))",
]


@pytest.mark.parametrize("text", SNIPPETS)
def test_values_are_those_that_python_gives(tree, text):
    names = {}
    exec(text, names)  # the expected values
    expected = {
        k: v
        for k, v in names.items()
        if not k.startswith("__") and not callable(v) and type(v).__name__ != "module"
    }
    assert tree(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import os\na = os.environ.get('POISE_NOT_SET', 'd')", "d"),
        ("import os\na = os.getenv('POISE_SET')", "here"),
        ("import os\na = os.environ['POISE_SET'] + '/x'", "here/x"),
        ("from os.path import join\na = join('p', 'q')", "p/q"),
        ("from pathlib import Path\na = Path('data') / 'coco' / 'x.json'", "data/coco/x.json"),
        ("from pathlib import Path\na = str(Path('d/e.py').parent) + Path('d/e.py').stem", "de"),
        ("import pathlib\na = pathlib.Path('d').joinpath('e').name", "e"),
        ("from pathlib import Path\na = Path(__file__).name", "cfg.py"),
        ("import os.path as osp\na = osp.basename(osp.abspath(__file__))", "cfg.py"),
        ("import os.path as osp\na = osp.basename(osp.dirname(__file__)) != ''", True),
        ("from collections import OrderedDict\na = OrderedDict(x=1)", {"x": 1}),
        ("import torch\na = dict(t=torch.optim.AdamW)", {"t": "torch.optim.AdamW"}),
        ("from torch.nn import SiLU as Act\na = Act", "torch.nn.SiLU"),
        ("import torch.nn as nn\na = [nn.BatchNorm2d]", ["torch.nn.BatchNorm2d"]),
        ("import numpy as np\na = np.pi", 3.141592653589793),
        ("a = '{{ fileBasename }}|{{fileBasenameNoExtension}}|{{ fileExtname}}'", "cfg.py|cfg|.py"),
        ("a = {{'$POISE_SET_N:8'}}", 12),
        ("a = '{{$POISE_NOT_SET:/data/coco}}/images'", "/data/coco/images"),
        ("a = {{'$POISE_NOT_SET:80'}} * 2", 160),
    ],
)
def test_modules_paths_and_templates(tree, monkeypatch, text, expected):
    monkeypatch.setenv("POISE_SET", "here")
    monkeypatch.setenv("POISE_SET_N", "12")
    monkeypatch.delenv("POISE_NOT_SET", raising=False)
    assert tree(text)["a"] == expected


def test_imports_leave_no_settings(tree):
    text = "import os\nfrom pathlib import Path\nimport torch\nx = 1\n_hidden = 2\n__dunder = 3"
    assert tree(text) == {"x": 1, "_hidden": 2}


def test_templates_can_be_switched_off(tree):
    text = "a = '{{ fileBasename }}'"
    assert tree(text, use_predefined_variables=False) == {"a": "{{ fileBasename }}"}


def test_used_environment_variables_are_recorded(write, monkeypatch):
    monkeypatch.setenv("POISE_ROOT", "/d")
    cfg = Config.fromfile(write("a.py", "r = '{{$POISE_ROOT:x}}'"))
    assert cfg.env_variables == {"POISE_ROOT": "/d"}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a = 1\nb = aa", 2, r"unknown variable 'aa'"),
        ("learning_rate = 1\n\nb = dict(lr=learning_rat)", 3, r"did you mean 'learning_rate'\?"),
        ("a = open('x').read()", 1, r"the call `open\('x'\)`.*trusted=True.*--trust-config"),
        ("import subprocess\nsubprocess.run(['ls'])", 2, r"`subprocess.run\(\['ls'\]\)`"),
        ("import os\nos.system('ls')", 2, r"`os.system\('ls'\)`"),
        ("__import__('os').system('x')", 1, r"`__import__\('os'\)`"),
        ("a = ().__class__", 1, r"no attribute '__class__'"),
        ("a = 'x'.__class__.__mro__", 1, r"no attribute '__class__'"),
        ("a = '{0.__class__}'.format(1)", 1, r"attribute is not read"),
        ("eval('1')", 1, r"the call `eval\('1'\)`"),
        ("getattr(1, 'x')", 1, r"the call `getattr"),
        ("from torch import nn\nm = nn.Linear(1, 2)", 2, r"`nn.Linear\(1, 2\)`"),
        ("def f():\n    return 1", 1, r"function definition `def f\(\):`"),
        ("class A: pass", 1, r"class definition `class A:`"),
        ("f = lambda x: x", 1, r"a lambda \(`lambda x: x`\)"),
        ("while True:\n    pass", 1, r"while loop"),
        ("try:\n    a = 1\nexcept Exception:\n    pass", 1, r"try block"),
        ("with open('x') as f:\n    pass", 1, r"`with open"),
        ("import os\nos.environ['A'] = 'b'", 2, r"does not take item assignment"),
        ("import os\na = os.environ['POISE_NOT_SET']", 2, r"no key 'POISE_NOT_SET'"),
        ("a = dict(type='A')\nb = a.type", 2, r"x\['type'\]"),
        ("a = dict(depth=1)\nb = a['dept']", 2, r"no key 'dept'; did you mean 'depth'"),
        ("a = [1]\nb = a[3]", 2, r"`a\[3\]` fails: IndexError"),
        ("a = 1 / 0", 1, r"`1 / 0` fails: ZeroDivisionError"),
        ("a = 'x' + 1", 1, r"`'x' \+ 1` fails: TypeError"),
        ("a, b = 1, 2, 3", 1, r"3 values cannot be given to 2 names"),
        ("a = dict(1)", 1, r"fails: TypeError"),
        ("for i in 3:\n    pass", 1, r"cannot loop over `3`: int"),
        ("a = 1\nassert a > 2, 'too small'", 2, r"own check `a > 2` fails: too small"),
        ("a = {}\ndel a['x']", 2, r"nothing to delete at 'x'"),
        ("del a", 1, r"unknown variable 'a'"),
        ("a = [1].foo()", 1, r"the call `\[1\].foo\(\)`"),
        ("a = _base_.x", 1, r"names no base config"),
        ("from .x import y", 1, r"only inside `with read_base\(\):`"),
        ("from torch import *", 1, r"'import \*' takes the settings"),
        ("from contextlib import suppress\nwith suppress():\n    pass", 2, r"`with suppress"),
        ("a = [len]", 1, r"'a' cannot be kept: a builtin_function_or_method is no setting"),
        ("a = [1, 2\nb = 3", 1, r"not valid Python: '\[' was never closed"),
    ],
)
def test_what_is_not_read_is_an_error_with_file_line_and_text(write, text, line, message):
    path = write("sub/cfg.py", text)
    with pytest.raises(ConfigError, match=f"(?s){message}") as caught:
        Config.fromfile(path)
    assert str(caught.value).startswith(f"{path}, line {line}: ")


@pytest.mark.parametrize(
    "text",
    [
        "a = 9 ** 9 ** 9",
        "a = 1 << 10 ** 9",
        "a = 'x' * 10 ** 9",
        "a = [0] * 10 ** 9",
        "a = 10 ** 9 * (0,)",
        "a = list(range(10 ** 9))",
        "a = [i for i in range(1000) for j in range(10000)]",
        "a = [1]\nfor i in range(40):\n    a = [a, a]",
        "a = [1]\nfor i in range(40):\n    a = [a, a]\nb = str(a)",
        "a = [1]\nfor i in range(40):\n    a = [a, a]\nb = f'{a}'",
        "a = [1]\nfor i in range(40):\n    a = [a, a]\nb = a == [1]",
        "a = [1]\nfor i in range(60):\n    a += a",
        "a = [1]\nfor i in range(60):\n    a.extend(a)",
        "a = 'x'\nfor i in range(60):\n    a = a + a",
        "a = '{:>1000000000}'.format(1)",
        "a = '{:{}}'.format(1, 10 ** 9)",
        "a = '%1000000000d' % 1",
        "a = '%*d' % (10 ** 9, 1)",
        "a = f'{1:>1000000000}'",
        "a = 'x' * 10000\nb = a.replace('x', a)\nc = b.replace('x', b)",
        "a = []\na.append(a)",
        "a, b = (1,), (1,)\nfor i in range(60):\n    a, b = (a, a), (b, b)\nc = {a}",
        "a, b = (1,), (1,)\nfor i in range(60):\n    a, b = (a, a), (b, b)\nc = {a: 1}",
        "a, b = (1,), (1,)\nfor i in range(60):\n    a, b = (a, a), (b, b)\nc = max(a, b)",
        "a, b = (1,), (1,)\nfor i in range(60):\n    a, b = (a, a), (b, b)\nc = [a].index(b)",
        "a, b = [1], [1]\nfor i in range(60):\n    a, b = [a, a], [b, b]\nc = [a, b]\nc.sort()",
        "a = {}\na['a'] = a",
        "a = " + "(" * 150 + "1" + ")" * 150 + "\nb = " + "[" * 5000 + "]" * 5000,
        "a = " + "-" * 100000 + "1",
    ],
)
def test_a_file_cannot_fill_memory_or_time(write, text):
    with pytest.raises(ConfigError):
        Config.fromfile(write("bomb.py", text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("9 ** 9 ** 9", "number of more than"),
        ("1 << 10 ** 9", "number of more than"),
        ("'x' * 10 ** 9", "more than .* items"),
        ("10 ** 9 * [0]", "more than .* items"),
        ("'{:>1000000000}'.format(1)", "format width of more than"),
        ("'%1000000000d' % 1", "format width of more than"),
        ("'%*d' % (10 ** 9, 1)", "'[*]' widths"),
        ("f'{1:>1000000000}'", "format width of more than"),
        ("f'{1:>\u0661" + "\u0660" * 9 + "}'", "format width of more than"),
    ],
)
def test_what_would_be_too_large_is_not_even_made(write, text, reason):
    with pytest.raises(ConfigError, match=reason):
        Config.fromfile(write("bomb.py", f"a = {text}"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("''.join([a] * 9)", "text of more than"),
        ("('%s' * 9) % ((a,) * 9)", "text of more than"),
        ("('%(k)s' * 9) % {'k': a}", "text of more than"),
        ("('{0}' * 9).format(a)", "text of more than"),
        ("'{}'.format([a] * 9)", "text of more than"),
        ("str([a] * 9)", "text of more than"),
        ("'%r' % ([a] * 9,)", "text of more than"),
        ("f'{a}{a}{a}{a}{a}{a}{a}{a}{a}'", "items and characters in all"),
        ("[a.upper() for i in range(99)]", "items and characters in all"),
        ("[a[1:] for i in range(99)]", "items and characters in all"),
        ("[[0] * 10 ** 6 for i in range(99)]", "items and characters in all"),
        ("[a.split('x') for i in range(99)]", "items and characters in all"),
    ],
)
def test_large_parts_do_not_add_up(write, text, reason):
    with pytest.raises(ConfigError, match=reason):
        Config.fromfile(write("bomb.py", f"a = 'x' * 10 ** 6\nb = {text}"))


def test_trusted_files_are_executed_with_their_bases(write):
    write("base.py", "def double(x):\n    return 2 * x\nlr = double(3)\nmodel = dict(a=1, b=2)")
    path = write(
        "child.py",
        """
        _base_ = ['./base.py']
        from statistics import mean
        scale = (lambda x: x + 1)(_base_.lr)
        model = dict(b=mean([1, 3]), c={{_base_.lr}}, d='{{_base_.lr}}/x')
        """,
    )
    cfg = Config.fromfile(path, trusted=True)
    assert cfg.to_dict() == {
        "lr": 6,
        "model": {"a": 1, "b": 2, "c": 6, "d": "6/x"},
        "scale": 7,
    }
    with pytest.raises(ConfigError, match=r"base\.py, line 1: the function definition"):
        Config.fromfile(path)


def test_errors_of_trusted_files_name_file_and_line(write):
    path = write("bad.py", "x = 1\n\ndef f():\n    return [][3]\n\ny = f()")
    with pytest.raises(ConfigError, match=r"bad\.py, line 4: executing the config fails: Index"):
        Config.fromfile(path, trusted=True)


def test_trusted_files_keep_names_of_mmpose_as_references(write):
    text = textwrap.dedent(
        """
        from mmpose.models import TopdownPoseEstimator
        from collections import Counter
        model = dict(type=TopdownPoseEstimator, n=Counter('aab')['a'])
        """
    )
    cfg = Config.fromfile(write("lazy.py", text), trusted=True)
    assert cfg.to_dict() == {"model": {"type": "mmpose.models.TopdownPoseEstimator", "n": 2}}
