"""Learning rates, momenta and parameter groups of many drawn settings, in Poise and in MMPose.

    python benchmarks/optim_parity.py --peer PYTHON [--curves 1500] [--groups 400]

Settings are drawn: every schedule with and without `by_epoch`, `convert_to_iter_based`, `begin`
and `end`, alone and together; every option of `paramwise_cfg` in its three constructors over
several networks. Both sides must give the same numbers (1e-9 relative) or both refuse.
`--peer` is a Python that can import MMPose; the same file then runs there, too.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

EPOCHS, LENGTH = 6, 7
TOLERANCE = 1e-9
#: Constructors that the drawn options are for.
CONSTRUCTORS = (
    None,
    "DefaultOptimWrapperConstructor",
    "ForceDefaultOptimWrapperConstructor",
    "LayerDecayOptimWrapperConstructor",
)
MODELS = (
    "td-hm_res50_8xb64-210e_coco-256x192",
    "rtmpose-t_8xb256-420e_coco-256x192",
    "td-hm_ViTPose-small_8xb64-210e_coco-256x192",
    "td-hm_litehrnet-18_8xb64-210e_coco-256x192",
    "td-hm_mobilenetv2_8xb64-210e_coco-256x192",
    "td-hm_swin-t-p4-w7_8xb32-210e_coco-256x192",
    "td-hm_hrformer-small_8xb32-210e_coco-256x192",
    "rtmo-s_8xb32-600e_coco-640x640",
    "yoloxpose_tiny_4xb64-300e_coco-416",
)
MULTIPLIERS = ("lr_mult", "decay_mult")
NAME_PARTS = ("backbone", "head", "neck", "bn1", "norm", "bias", "layer1", "stage", "conv", "gau")


# ------------------------------------------------------------------------ drawing


def draw_schedule(rng):
    """One schedule of a config; most are valid."""
    kind = rng.choice(sorted(RULES))
    suffix = rng.choice(["LR", "LR", "LR", "Momentum", "ParamScheduler"])
    if kind == "OneCycle":
        suffix = rng.choice(["LR", "ParamScheduler"])
    by_epoch = rng.random() < 0.5
    last = EPOCHS if by_epoch else EPOCHS * LENGTH
    cfg = {"type": f"{kind}{suffix}", **RULES[kind](rng, last)}
    if suffix == "ParamScheduler":
        cfg["param_name"] = rng.choice(["lr", "lr" if kind == "OneCycle" else "weight_decay"])
    if by_epoch != (rng.random() < 0.4) or not by_epoch:
        cfg["by_epoch"] = by_epoch
    else:
        by_epoch = True
    if rng.random() < 0.6:
        cfg["begin"] = rng.randrange(last)
    if rng.random() < 0.6:
        # seldom one that does not end after it begins, which both sides refuse
        cfg["end"] = rng.randrange(cfg.get("begin", 0) + rng.choice([0, 2, 2, 2, 2]), last + 3)
    if rng.random() < 0.4:
        cfg["convert_to_iter_based"] = True
    return cfg


def _start(rng):
    return rng.choice([0.001, 1.0 / 3, 0.5, 1.0])


def _cosine(rng, last):
    cfg = {"T_max": rng.randrange(1, last + 1)} if rng.random() < 0.7 else {}
    key = rng.choice(["eta_min", "eta_min_ratio", None])
    return {**cfg, **({key: rng.choice([0.0, 1e-4, 0.05])} if key else {})}


def _poly(rng, last):
    key = rng.choice(["eta_min", "eta_min_ratio"])
    return {"power": rng.choice([0.9, 1, 2]), key: rng.choice([0.0, 1e-4, 0.05])}


def _one_cycle(rng, last):
    return {
        "eta_max": rng.choice([0.05, 0.5]),
        "total_steps": rng.randrange(2, last + 4),
        "pct_start": rng.choice([0.2, 0.3, 0.5]),
        "anneal_strategy": rng.choice(["cos", "linear"]),
        "three_phase": rng.random() < 0.4,
        "div_factor": rng.choice([10.0, 25.0]),
    }


def _restart(rng, last):
    count = rng.randrange(1, 4)
    periods = [rng.randrange(1, last) for _ in range(count)]
    weights = [1.0] + [rng.choice([0.5, 0.2]) for _ in range(count - 1)]
    key = rng.choice(["eta_min", "eta_min_ratio"])
    return {"periods": periods, "restart_weights": weights, key: rng.choice([0.0, 1e-3])}


RULES = {
    "Constant": lambda rng, last: {"factor": rng.choice([0.1, 1.0 / 3, 1.0])},
    "Linear": lambda rng, last: {
        "start_factor": _start(rng),
        "end_factor": rng.choice([0.1, 1.0, 1.0]),
    },
    "Step": lambda rng, last: {"step_size": rng.randrange(1, last), "gamma": 0.3},
    "MultiStep": lambda rng, last: {
        "milestones": sorted(rng.randrange(1, last + 2) for _ in range(rng.randrange(1, 4))),
        "gamma": rng.choice([0.1, 0.5]),
    },
    "Exponential": lambda rng, last: {"gamma": rng.choice([0.9, 0.5])},
    "CosineAnnealing": _cosine,
    "CosineRestart": _restart,
    "Poly": _poly,
    "OneCycle": _one_cycle,
    "QuadraticWarmup": lambda rng, last: {},
}


def draw_curve(rng):
    """Schedules of a run and the optimizer that they act on."""
    many = [draw_schedule(rng) for _ in range(rng.choice([1, 1, 2, 3]))]
    return {"schedules": many, "optimizer": rng.choice(["SGD", "Adam", "AdamW"])}


def draw_groups(rng):
    """An `optim_wrapper` and the network that it is for."""
    options = {
        "norm_decay_mult": [0, 0.5],
        "bias_decay_mult": [0, 0.3],
        "bias_lr_mult": [2, 0.1],
        "dwconv_decay_mult": [0, 0.7],
        "flat_decay_mult": [0, 0.2],
        "dcn_offset_lr_mult": [0.1],
        "bypass_duplicate": [True],
    }
    paramwise = {k: rng.choice(v) for k, v in options.items() if rng.random() < 0.4}
    constructor = rng.choice(CONSTRUCTORS)
    if rng.random() < 0.5:
        chosen = rng.sample(NAME_PARTS, rng.randrange(1, 4))
        paramwise["custom_keys"] = {
            k: {
                m: rng.choice([0, 0.1, 1.0])
                for m in ("lr_mult", "decay_mult")
                if rng.random() < 0.7
            }
            for k in chosen
        }
    if constructor == "LayerDecayOptimWrapperConstructor":
        paramwise |= {"num_layers": rng.choice([4, 12]), "layer_decay_rate": 0.75}
    if constructor == "ForceDefaultOptimWrapperConstructor" and rng.random() < 0.6:
        paramwise["force_default_settings"] = True
    optimizer = {"type": rng.choice(["SGD", "Adam", "AdamW"]), "lr": 0.01}
    if rng.random() < 0.9:
        optimizer["weight_decay"] = 0.05
    cfg = {"type": "OptimWrapper", "optimizer": optimizer}
    if constructor:
        cfg["constructor"] = constructor
    if paramwise or constructor:
        cfg["paramwise_cfg"] = paramwise
    return {"model": rng.choice(MODELS), "optim_wrapper": cfg, "frozen": rng.random() < 0.2}


# ---------------------------------------------------------------------- both sides


class Side:
    """How one package builds networks, optimizers and schedules."""

    def __init__(self, package):
        self.package = package
        self.models = {}
        if package == "mmpose":
            from mmengine.registry import init_default_scope
            from mmpose.utils import register_all_modules

            register_all_modules()
            init_default_scope("mmpose")

    def optimizer(self, kind):
        """An optimizer of two groups."""
        import torch

        rates = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
        groups = [{"params": [rates[0]]}, {"params": [rates[1]], "lr": 0.01}]
        more = {"momentum": 0.9} if kind == "SGD" else {}
        return getattr(torch.optim, kind)(groups, lr=0.1, weight_decay=0.05, **more)

    def schedules(self, optimizer, cfgs):
        """Schedules of a run of `EPOCHS` epochs of `LENGTH` batches."""
        if self.package == "poise":
            from poise.registry import use_scope
            from poise.training import build_schedulers

            train_cfg = {"max_epochs": EPOCHS, "max_iters": EPOCHS * LENGTH}
            with use_scope("mmpose"):
                return build_schedulers(optimizer, cfgs, train_cfg=train_cfg, epoch_length=LENGTH)
        from mmengine.optim import OptimWrapper
        from mmpose.registry import PARAM_SCHEDULERS

        wrapper = OptimWrapper(optimizer)
        built = []
        for cfg in cfgs:
            end = EPOCHS if cfg.get("by_epoch", True) else EPOCHS * LENGTH
            args = {"optimizer": wrapper, "epoch_length": LENGTH}
            built.append(PARAM_SCHEDULERS.build({"end": end, **cfg}, default_args=args))
        return built

    def model(self, name, folder):
        """A network, without weights."""
        if name not in self.models:
            cfg = json.loads((folder / f"{name}.json").read_text())
            if self.package == "poise":
                from poise.models.build import build_model
                from poise.registry import use_scope

                with use_scope("mmpose"):
                    self.models[name] = build_model(cfg)
            else:
                from mmengine.config import ConfigDict
                from mmpose.registry import MODELS as REGISTRY

                self.models[name] = REGISTRY.build(ConfigDict(cfg))
        return self.models[name]

    def groups(self, model, cfg):
        """The optimizer of a network."""
        if self.package == "poise":
            from poise.registry import use_scope
            from poise.training import build_optimizer

            with use_scope("mmpose"):
                return build_optimizer(model, cfg)
        from mmengine.config import ConfigDict
        from mmengine.optim import build_optim_wrapper

        return build_optim_wrapper(model, ConfigDict(cfg)).optimizer


def curve(side, drawn):
    """Settings of both groups before each batch, as the runner steps the schedules."""
    optimizer = side.optimizer(drawn["optimizer"])
    schedules = side.schedules(optimizer, drawn["schedules"])
    rows = []
    for _ in range(EPOCHS):
        for _ in range(LENGTH):
            rows.append(
                [
                    [g["lr"], g["weight_decay"], g["betas"][0] if "betas" in g else g["momentum"]]
                    for g in optimizer.param_groups
                ]
            )
            for schedule in schedules:
                if not schedule.by_epoch:
                    schedule.step()
        for schedule in schedules:
            if schedule.by_epoch:
                schedule.step()
    return rows


def groups(side, drawn, folder):
    """Parameter -> its learning rate and weight decay."""
    model = side.model(drawn["model"], folder)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not (drawn["frozen"] and name.startswith("backbone.stem"))
        if drawn["frozen"] and "layer1" in name:
            parameter.requires_grad = False
    names = {id(p): n for n, p in model.named_parameters()}
    optimizer = side.groups(model, drawn["optim_wrapper"])
    return {
        names[id(p)]: [g["lr"], g["weight_decay"]]
        for g in optimizer.param_groups
        for p in g["params"]
    }


def answers(package, folder):
    """What one side makes of all that was drawn; a refusal is a text."""
    side = Side(package)
    drawn = json.loads((folder / "drawn.json").read_text())
    found = []
    for item in drawn:
        try:
            found.append(curve(side, item) if "schedules" in item else groups(side, item, folder))
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
    (folder / f"{package}.json").write_text(json.dumps(found))


def same(one, other):
    """Whether two trees of numbers agree."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(v, other[k]) for k, v in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, str) or isinstance(other, str):
        return isinstance(one, str) and isinstance(other, str)
    if one is None or other is None:
        return one is other
    return one == other or abs(one - other) <= TOLERANCE * max(abs(one), abs(other))


def compare(options):
    """Draw, run both sides, print the counts and the first differences; how many differ."""
    from poise.zoo import load_config

    rng = random.Random(options.seed)
    drawn = [draw_curve(rng) for _ in range(options.curves)]
    drawn += [draw_groups(rng) for _ in range(options.groups)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in MODELS:
            cfg = load_config(name).to_dict()["model"]
            (folder / f"{name}.json").write_text(json.dumps(_without_weights(cfg)))
        (folder / "drawn.json").write_text(json.dumps(drawn))
        for python, package in ((sys.executable, "poise"), (options.peer, "mmpose")):
            command = [python, str(Path(__file__).resolve()), "--side", package]
            settings = {**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
            subprocess.run([*command, "--folder", temporary], check=True, env=settings)
        ours, theirs = (json.loads((folder / f"{p}.json").read_text()) for p in ("poise", "mmpose"))
    failed = 0
    for kind in ("schedules", "optim_wrapper"):
        rows = [r for r in zip(drawn, ours, theirs, strict=True) if kind in r[0]]
        wrong = [r for r in rows if not same(r[1], r[2])]
        refused = sum(isinstance(r[2], str) for r in rows)
        sys.stdout.write(
            f"{kind}: {len(rows) - len(wrong)} of {len(rows)} agree (MMPose refuses {refused})\n"
        )
        for item, mine, other in wrong[: options.show]:
            sys.stdout.write(f"  {json.dumps(item)}\n    poise  {str(mine)[:300]}\n")
            sys.stdout.write(f"    mmpose {str(other)[:300]}\n")
        failed += len(wrong)
    return failed


def _without_weights(tree):
    if isinstance(tree, dict):
        return {k: _without_weights(v) for k, v in tree.items() if k != "init_cfg"}
    return [_without_weights(v) for v in tree] if isinstance(tree, (list, tuple)) else tree


def main():
    """Compare; or, with --side, answer for one package."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter that can import mmpose")
    parser.add_argument("--curves", type=int, default=1500, help="how many sets of schedules")
    parser.add_argument("--groups", type=int, default=400, help="how many optimizers")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--show", type=int, default=5, help="differences of a kind to print")
    for name in ("--side", "--folder"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        answers(options.side, Path(options.folder))
        return 0
    if not options.peer:
        from benchmarks.common import cannot_run

        raise cannot_run("needs MMPose to compare with: give --peer PYTHON")
    return compare(options)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    sys.exit(main())
