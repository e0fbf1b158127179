"""A tiny RF-DETR in the layout of its own files, with values that follow from the keys."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent
#: what the tiny networks are built with; `NARROW` is what makes their backbone small
SETTINGS = dict(
    hidden_dim=64,
    sa_nheads=2,
    ca_nheads=4,
    dec_n_points=2,
    dec_layers=2,
    out_feature_indexes=[1, 2, 3],
    resolution=96,
    positional_encoding_size=8,
    num_queries=12,
    num_select=20,
    group_detr=2,
)
NARROW = dict(hidden_size=128, num_hidden_layers=3, num_attention_heads=2)
#: name -> further settings, height and width of the input, of the picture
CASES = {
    "person": (dict(num_classes=1, num_keypoints_per_class=[17]), (96, 96), (480, 640)),
    "shifted": (dict(num_classes=1, num_keypoints_per_class=[0, 17]), (96, 144), (100, 333)),
    "zoo": (
        dict(
            num_classes=3,
            num_keypoints_per_class=[4, 0, 3],
            projector_scale=["P3", "P4", "P5"],
            dual_projector=False,
        ),
        (48, 72),
        (77, 50),
    ),
}


def numbers(name, shape, spread=1.0):
    """Values (float32) that are the same on every machine."""
    drawn = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    return torch.from_numpy(np.asarray(drawn * spread, np.float32))


def filled(state):
    """State dict of the same keys and shapes, with values that follow from the keys."""
    found = {}
    for key, value in state.items():
        if value.dtype == torch.bool:
            found[key] = value
            continue
        spread = 0.02 if value.ndim < 2 else value[0].numel() ** -0.5
        found[key] = numbers(key, value.shape, spread)
        if key.endswith("weight") and value.ndim == 1:
            found[key] += 1
        if key.endswith("lambda1"):
            found[key] += 0.5
    # enough people of every class
    found["class_embed.bias"] = torch.zeros_like(found["class_embed.bias"])
    return found


def checkpoint(case):
    """What a file of RF-DETR's own holds, for a case."""
    layout = json.loads((FOLDER / "layout.json").read_text())[case]
    settings = SETTINGS | CASES[case][0]
    owners = settings["num_keypoints_per_class"]
    mask = torch.arange(max(owners)) < torch.tensor(owners)[:, None]
    state = {
        key: torch.zeros(shape, dtype=torch.bool if key.endswith("_mask") else None)
        for key, shape in layout.items()
    }
    state["_kp_active_mask"] = mask
    return {"model": filled(state), "args": {"lr": 0.1}, "model_config": settings}


def pixels(case):
    """Input (1, 3, H, W) of a case."""
    return numbers(f"pixels of {case}", (1, 3, *CASES[case][1]))
