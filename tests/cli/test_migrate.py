"""`poise migrate` and the rewriting behind it."""

# Sources read better on one line.
# ruff: noqa: E501

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from poise.cli.migrate import migrate
from poise.config.migrate import migrate_source
from poise.errors import ConfigError


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "from mmengine.structures import InstanceData",
            "from poise.structures import InstanceData",
        ),
        (
            "from mmengine.structures import PixelData as PD  # noqa",
            "from poise.structures import PixelData as PD  # noqa",
        ),
        (
            "from mmpose.datasets import CocoDataset, LoadImage",
            "from poise.datasets import CocoDataset\nfrom poise.transforms import LoadImage",
        ),
        (
            "def f():\n    from mmpose.datasets import CocoDataset, LoadImage\n    return 1",
            (
                "def f():\n    from poise.datasets import CocoDataset\n"
                "    from poise.transforms import LoadImage\n    return 1"
            ),
        ),
        (
            "from mmpose.datasets import CocoDataset, LoadImage; x = 1",
            "from poise.datasets import CocoDataset; from poise.transforms import LoadImage; x = 1",
        ),
        (
            "from mmengine.model import (BaseModule,  # why\n                            xavier_init)\n",
            "from poise.layers import BaseModule, xavier_init  # why\n",
        ),
        (
            "from mmpose.models.builder import HEADS, BACKBONES as B",
            "from poise.registry import MODELS as HEADS, MODELS as B",
        ),
        (
            "from mmpose.datasets import transforms as T\nx = T.LoadImage",
            "from poise import transforms as T\nx = T.LoadImage",
        ),
        (
            "import mmcv.cnn as cnn\nx = cnn.ConvModule",
            "import poise.layers as cnn\nx = cnn.ConvModule",
        ),
        (
            "import mmengine\nx = mmengine.fileio.load('ü') ; y = mmengine.Config(z).a",
            (
                "import poise.compat.fileio\nimport poise.config\n"
                "x = poise.compat.fileio.load('ü') ; y = poise.config.Config(z).a"
            ),
        ),
        (
            "import mmengine\nimport mmengine.fileio\nx = mmengine.fileio.load",
            "import poise.compat.fileio\nimport poise.compat.fileio\nx = poise.compat.fileio.load",
        ),
        (
            "try:\n    from mmcv.cnn import ConvModule, Linear\nexcept ImportError:\n    pass",
            (
                "try:\n    from poise.layers import ConvModule\n    from torch.nn import Linear\n"
                "except ImportError:\n    pass"
            ),
        ),
        (
            "import os, numpy as np\nfrom torch import nn\nfrom . import mmpose\n",
            "import os, numpy as np\nfrom torch import nn\nfrom . import mmpose\n",
        ),
        (
            "with read_base():\n    from mmpose.configs._base_.default_runtime import *  # noqa\n",
            "with read_base():\n    from mmpose.configs._base_.default_runtime import *  # noqa\n",
        ),
    ],
)
def test_imports_are_rewritten_and_nothing_else(old, new):
    done = migrate_source(old)
    assert done.text == new
    assert done.unknown == []
    assert migrate_source(done.text).text == done.text


def test_long_imports_are_wrapped():
    names = "bbox_cs2xywh, bbox_cs2xyxy, bbox_xywh2cs, bbox_xywh2xyxy, bbox_xyxy2cs"
    text = migrate_source(f"if 1:\n    from mmpose.structures.bbox import {names}\n").text
    ast.parse(text)
    assert text.startswith(
        "if 1:\n    from poise.structures.bbox import (\n        bbox_cs2xywh,\n"
    )
    assert text.endswith("        bbox_xyxy2cs,\n    )\n")


@pytest.mark.parametrize(
    ("text", "left", "message"),
    [
        (
            "from mmpose.codecs import UDPHeatmap, UDPHeatmp",
            (
                "from poise.codecs import UDPHeatmap\nfrom mmpose.codecs import UDPHeatmp"
                "  # not in Poise; did you mean 'UDPHeatmap', 'DecoupledHeatmap' or 'Hand3DHeatmap'?"
            ),
            (
                "f.py, line 1: mmpose.codecs.UDPHeatmp has no counterpart in Poise; did you mean "
                "'UDPHeatmap'"
            ),
        ),
        (
            "\nfrom mmpose.models import *",
            "\nfrom mmpose.models import *  # not in Poise",
            "f.py, line 2: mmpose.m",
        ),
        (
            "from mmengine.analysis import (\n    FlopAnalyzer)\n",
            "from mmengine.analysis import FlopAnalyzer  # not in Poise; use poise.models.cost.cost\n",
            "mmengine.analysis.FlopAnalyzer has no counterpart in Poise; use poise.models.cost.cost",
        ),
        (
            "import mmengine\nmmengine.no.such(1)",
            "import mmengine  # not in Poise\nmmengine.no.such(1)",
            "f.py, line 2: mmengine.no.such has no counterpart",
        ),
        (
            "import mmcv.cnn as c\nc.NoLayer()",
            "import poise.layers as c\nc.NoLayer()",
            "line 2: mmcv.cnn.NoLayer",
        ),
    ],
)
def test_unknown_names_stay_and_are_listed(text, left, message):
    done = migrate_source(text, "f.py")
    assert done.text == left
    assert len(done.unknown) == 1
    assert message in str(done.unknown[0])
    assert migrate_source(done.text, "f.py").text == left


def test_what_fails_at_import_shows_what_to_use(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(migrate_source("from mmengine.infer import BaseInferencer").text)
    text = subprocess.run([sys.executable, file], capture_output=True, text=True).stderr
    assert "import BaseInferencer  # not in Poise; wrap poise.Inferencer" in text


def test_an_import_that_nothing_uses_asks_for_poise():
    assert migrate_source("try:\n    import mmdet\nexcept ImportError:\n    pass\n").text == (
        "try:\n    import poise\nexcept ImportError:\n    pass\n"
    )


def test_files_of_a_copy_of_mmpose_import_relatively(tmp_path):
    heads = tmp_path / "mmpose" / "models" / "heads"
    heads.mkdir(parents=True)
    (heads / "parts.py").touch()
    text = (
        "from ..utils.tta import flip_heatmaps\nfrom .base_head import BaseHead, Nothing\n"
        "from .parts import Part\nfrom . import parts\nfrom .....far import away\n"
        "from .. import HeatmapHead\n"
    )
    done = migrate_source(text, str(heads / "mine.py"))
    assert done.text == (
        "from poise.models.flip import flip_heatmaps\nfrom poise.models.heads import BaseHead\n"
        "from .base_head import Nothing  # not in Poise\n"
        "from .parts import Part\nfrom . import parts\nfrom .....far import away\n"
        "from poise.models.heads import HeatmapHead\n"
    )
    assert [u.name for u in done.unknown] == ["mmpose.models.heads.base_head.Nothing"]
    assert migrate_source(text, str(tmp_path / "elsewhere" / "mine.py")).text == text


def test_faulty_python_is_named():
    with pytest.raises(ConfigError, match=r"f\.py, line 2: not valid Python"):
        migrate_source("a = 1\nb = (", "f.py")


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(migrate)
    return lambda *args: CliRunner().invoke(app, list(map(str, args)))


def test_the_command_prints_a_diff_or_writes(run, tmp_path):
    file = tmp_path / "model.py"
    file.write_text("# mine\nfrom mmpose.registry import MODELS\n")
    done = run(file)
    assert done.exit_code == 0
    assert (
        "-from mmpose.registry import MODELS\n+from poise.registry import MODELS\n" in done.output
    )
    assert "mmpose" in file.read_text()
    assert "1 name changed" in run("--write", tmp_path).output
    assert file.read_text() == "# mine\nfrom poise.registry import MODELS\n"
    assert run(file).output == "nothing to change in 1 Python files\n"


def test_line_ends_and_the_right_to_run_stay(run, tmp_path):
    file, link = tmp_path / "model.py", tmp_path / "link.py"
    file.write_bytes(b"# mine\r\nfrom mmpose.registry import MODELS\r\n")
    file.chmod(0o755)
    link.symlink_to(file)
    assert run("--write", link).exit_code == 0
    assert file.read_bytes() == b"# mine\r\nfrom poise.registry import MODELS\r\n"
    assert file.stat().st_mode & 0o777 == 0o755
    assert link.is_symlink()


def test_a_full_disk_leaves_the_file_as_it_was(run, tmp_path, monkeypatch):
    file = tmp_path / "model.py"
    file.write_text("from mmpose.registry import MODELS\n")

    def half(path, data):
        with path.open("wb") as opened:
            opened.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", half)
    assert isinstance(run("--write", file).exception, OSError)
    assert file.read_text() == "from mmpose.registry import MODELS\n"
    assert list(tmp_path.iterdir()) == [file]


def test_the_command_lists_unknown_names_and_fails(run, tmp_path):
    file = tmp_path / "model.py"
    file.write_text("from mmpose.registry import MODELZ\n")
    done = run(file)
    assert done.exit_code == 1
    assert "did you mean 'MODELS'" in done.output
    assert isinstance(run(tmp_path / "none.py").exception, FileNotFoundError)


def test_migrated_code_runs(tmp_path):
    text = (
        "from mmengine.structures import InstanceData\n"
        "from mmpose.structures import PoseDataSample\n"
        "from mmpose.utils.typing import OptConfigType\n"
        "import mmengine\n"
        "mmengine.mkdir_or_exist(folder)\n"
        "sample = PoseDataSample(gt_instances=InstanceData())\n"
    )
    names = {"folder": str(tmp_path / "made")}
    exec(migrate_source(text).text, names)
    assert (tmp_path / "made").is_dir()
    assert "gt_instances" in names["sample"]


def test_files_that_are_none_and_nothing_to_change_are_said(tmp_path):
    app = typer.Typer()
    app.command()(migrate)
    done = CliRunner().invoke(app, [str(tmp_path)])
    assert done.exit_code == 0
    assert "nothing to change in 0 Python files" in done.output
    (tmp_path / "photo.py").write_bytes(b"\xff\xd8\xff")
    done = CliRunner().invoke(app, [str(tmp_path)])
    assert done.exit_code == 1
    assert "photo.py' is no text in UTF-8" in str(done.exception)
