"""Times and memory of a training step under Poise's options, beside the plain step.

    python benchmarks/training_options.py [--model NAME] [--batch 8] [--rounds 5]

The data are random, the step is forward, backward and optimizer. Options take turns, so that a
busy machine disturbs all of them alike; times are medians of CPU milliseconds on one thread
(`time.process_time`), or of wall time with `--device cuda`. Memory is what a step adds at its
peak: of tensors on a GPU, on a CPU of what autograd keeps for the backward pass.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

MODEL = "rtmpose-t_8xb256-420e_coco-256x192"
#: option -> (`speed` of a config, dtype of autocast)
OPTIONS = {
    "plain": ({}, None),
    "channels_last": ({"channels_last": True}, None),
    "checkpointing": ({"checkpointing": True}, None),
    "fused": ({"fused": True}, None),
    "bfloat16": ({}, "bfloat16"),
    "compile": ({"compile": True}, None),
}


class Step:
    """A training step of a model with one option.

    Args:
        name: zoo name of the model. speed, dtype: of `OPTIONS`. batch: samples. device: torch's.
    """

    def __init__(self, name, speed, dtype, batch, device):
        import torch

        from poise.check.network import without_pretrained
        from poise.registry import use_scope
        from poise.training.build import build_model
        from poise.training.machine.speed import fuse_optimizer, prepare_model
        from poise.training.optim.wrappers import build_optimizer
        from poise.zoo import load_config

        torch.manual_seed(0)
        cfg = load_config(name).to_dict()
        with use_scope("mmpose"):
            self.model = build_model({"model": without_pretrained(cfg["model"])}, init=False)
            prepare_model(self.model.to(device).train(), speed)
            wrapper = copy.deepcopy(cfg["optim_wrapper"])
            wrapper["optimizer"] = fuse_optimizer(wrapper["optimizer"], speed)
            self.optimizer = build_optimizer(self.model, wrapper)
        width, height = cfg["codec"]["input_size"]
        self.inputs = torch.randn(batch, 3, height, width, device=device)
        if speed.get("channels_last"):
            self.inputs = self.inputs.contiguous(memory_format=torch.channels_last)
        self.dtype = getattr(torch, dtype) if dtype else None
        self.device = torch.device(device)
        self.kept = 0

    def __call__(self, measure_memory=False):
        import torch

        self.kept = 0

        def keep(tensor):
            self.kept += tensor.untyped_storage().nbytes()
            return tensor

        hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
        cast = torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None)
        with cast:
            if measure_memory:
                with hooks:
                    out = self.model(self.inputs, mode="tensor")
            else:
                out = self.model(self.inputs, mode="tensor")
            maps = out if isinstance(out, (list, tuple)) else [out]
            loss = sum(m.float().square().mean() for m in maps)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def memory_of(step, device):
    """MiB that a step needs at its peak beyond weights and gradients."""
    import torch

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    step(measure_memory=True)
    return step.kept / 2**20


def main():
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=MODEL, help="zoo name")
    parser.add_argument("--batch", type=int, default=8, help="samples")
    parser.add_argument("--rounds", type=int, default=5, help="steps of each option")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--only", nargs="*", default=list(OPTIONS), help="options")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    clock = time.perf_counter if arguments.device == "cuda" else time.process_time
    steps, times = {}, {}
    for name in dict.fromkeys(["plain", *arguments.only]):
        step = Step(arguments.model, *OPTIONS[name], arguments.batch, arguments.device)
        try:
            step()
        except Exception as error:
            sys.stdout.write(f"{name}: cannot run here ({type(error).__name__})\n")
            continue
        steps[name], times[name] = step, []
    for _ in range(arguments.rounds):
        for name, step in steps.items():
            start = clock()
            step()
            times[name].append(1e3 * (clock() - start))
    plain = statistics.median(times["plain"])
    sys.stdout.write(f"{'option':16}{'ms':>10}{'of plain':>10}{'MiB':>10}\n")
    for name, step in steps.items():
        median = statistics.median(times[name])
        memory = memory_of(step, arguments.device)
        sys.stdout.write(f"{name:16}{median:10.1f}{median / plain:10.2f}{memory:10.1f}\n")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    sys.exit(main())
