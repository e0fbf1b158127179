"""Parts written after MMPose's guides work once `poise migrate` has turned their imports."""

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from poise.config.migrate import migrate_source

GUIDE = Path(__file__).parent / "guides" / "parts.py"


@pytest.fixture(scope="module")
def parts():
    """The migrated module; imported once, since its classes register."""
    done = migrate_source(GUIDE.read_text(), str(GUIDE))
    assert not done.unknown
    module = types.ModuleType("parts_of_the_guides")
    sys.modules[module.__name__] = module
    exec(compile(done.text, str(GUIDE), "exec"), module.__dict__)
    yield module
    del sys.modules[module.__name__]


def test_only_imports_change():
    old, new = GUIDE.read_text(), migrate_source(GUIDE.read_text(), str(GUIDE)).text
    body = old[old.index("@DATASETS.register_module()") :]
    assert new.endswith(body)
    assert not any(line.startswith(("from mm", "import mm")) for line in new.splitlines())


@pytest.fixture
def people(tmp_path):
    """Two people with 16 joints, and head boxes with diagonals of 5 and 10 pixels."""
    rows = [
        {
            "image": f"{i}.jpg",
            "center": [50.0, 60.0],
            "scale": 0.5,
            "joints": [[float(j), float(i)] for j in range(16)],
            "joints_vis": [1] * 16,
        }
        for i in range(2)
    ]
    (tmp_path / "people.json").write_text(json.dumps(rows))
    corners = np.zeros((2, 2, 2))
    corners[1] = [[3, 6], [4, 8]]
    savemat(tmp_path / "heads.mat", {"headboxes_src": corners})
    return tmp_path


def test_a_users_data_set_has_head_sizes(parts, people):
    from poise.registry import DATASETS

    dataset = DATASETS.build(
        {
            "type": "HeadBoxDataset",
            "ann_file": str(people / "people.json"),
            "headbox_file": str(people / "heads.mat"),
            "data_prefix": {"img": "images"},
            "test_mode": True,
        }
    )
    assert len(dataset) == 2
    assert dataset.metainfo["num_keypoints"] == 16
    first = dataset.get_data_info(0)
    assert first["img_path"] == "images/0.jpg"
    np.testing.assert_allclose(first["head_size"], [3.0])
    np.testing.assert_allclose(dataset.get_data_info(1)["head_size"], [6.0])
    assert first["bbox"].tolist() == [[0, 10, 100, 110]]


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"data_mode": "bottomup", "test_mode": True}, ValueError, "topdown mode, not bottomup"),
        ({"test_mode": False}, ValueError, "test_mode=True"),
        ({"headbox_file": "heads.json", "test_mode": True}, KeyError, "a .mat file"),
    ],
)
def test_errors_of_the_users_data_set_come_through(parts, people, arguments, kind, text):
    from poise.registry import DATASETS

    cfg = {
        "type": "HeadBoxDataset",
        "ann_file": str(people / "people.json"),
        "headbox_file": str(people / "heads.mat"),
        **arguments,
    }
    with pytest.raises(kind, match=text):
        DATASETS.build(cfg)


def test_a_users_neck_and_loss_are_built_and_differentiable(parts):
    from poise.registry import MODELS

    neck = MODELS.build({"type": "PlusNeck", "in_channels": 4, "out_channels": 2})
    loss = MODELS.build({"type": "PowerLoss", "power": 2.0})
    assert [n for n, _ in neck.named_children()] == ["conv", "bn1", "up"]
    (out,) = neck((torch.randn(2, 4, 3, 3),))
    assert out.shape == (2, 2, 6, 6)
    loss(out.flatten(2), torch.zeros(2, 2, 36), torch.ones(2, 2)).backward()
    assert neck.conv.weight.grad is not None


def test_a_users_optimizer_and_constructor_group_as_written(parts):
    from poise.training.optim.wrappers import build_optimizer

    model = torch.nn.ModuleDict({"neck": torch.nn.Linear(2, 2), "head": torch.nn.Linear(2, 1)})
    optimizer = build_optimizer(
        model,
        {
            "constructor": "SlowNeckConstructor",
            "optimizer": {"type": "SignSGD", "lr": 0.2},
            # as in MMEngine, add_params is for configs with rules
            "paramwise_cfg": {"bias_lr_mult": 1.0},
        },
    )
    assert type(optimizer).__name__ == "SignSGD"
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.1, 0.2, 0.2]
    before = model["neck"].weight.detach().clone()
    model["head"](model["neck"](torch.ones(1, 2))).sum().backward()
    optimizer.step()
    step = (model["neck"].weight - before).abs()
    assert torch.allclose(step, torch.full_like(step, 0.1))


def test_a_users_transform_and_hook_are_built(parts):
    from poise.registry import HOOKS, TRANSFORMS

    mirror = TRANSFORMS.build({"type": "MirrorAll", "prob": 1.0})
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    out = mirror({"img": image.copy(), "img_shape": (2, 3), "flip_indices": []})
    assert (out["img"] == image[:, ::-1]).all()
    assert repr(mirror) == "MirrorAll(prob=1.0)"
    assert HOOKS.build({"type": "TellHook"}).priority == "LOW"
