"""Losses of a short training in Poise, and in MMPose from the same weights on the same data.

    python benchmarks/training_parity.py [--peer PYTHON] [--steps 20] [--only heatmap]

The data are pictures made here, the weights follow from the names of the tensors, nothing in the
pipeline is random and the order is fixed, so both sides should see the same losses up to the
last digits of float32. `--peer` is a Python that can import MMPose; the same file then runs
there, too. Printed are, a case a row: the largest relative differences of losses, learning
rates, final weights and averaged weights, and the median CPU milliseconds of a step.
`--record FILE` writes the peer's losses, which `tests/training/test_parity.py` compares with.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
import zlib
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

PICTURES, BATCH, SIDE, KEYPOINTS = 24, 4, 128, 17
#: Differences that float32 may make in 20 steps, relative to the value.
NOISE = 1e-4
SGD = {"type": "SGD", "lr": 0.02, "momentum": 0.9, "weight_decay": 1e-4}
ADAM = {"type": "Adam", "lr": 5e-4}
ADAMW = {"type": "AdamW", "lr": 4e-3, "weight_decay": 0.05}
WARM_UP = {"type": "LinearLR", "begin": 0, "end": 8, "start_factor": 0.001, "by_epoch": False}
STEPS_DOWN = {"type": "MultiStepLR", "milestones": [2], "gamma": 0.1, "by_epoch": True}
COSINE = {
    "type": "CosineAnnealingLR",
    "begin": 1,
    "end": 4,
    "T_max": 3,
    "eta_min": 2e-4,
    "by_epoch": True,
    "convert_to_iter_based": True,
}
PLAIN_NORMS = {"norm_decay_mult": 0, "bias_decay_mult": 0, "bypass_duplicate": True}
EMA = {"type": "EMAHook", "ema_type": "ExpMomentumEMA", "momentum": 0.0002, "update_buffers": True}


def heatmap_model(**backbone):
    """ResNet-18 and three deconvolutions for 64 x 96 pixels; the model and its codec."""
    codec = {"type": "MSRAHeatmap", "input_size": (64, 96), "heatmap_size": (16, 24), "sigma": 1.5}
    head = {
        "type": "HeatmapHead",
        "in_channels": 512,
        "out_channels": KEYPOINTS,
        "deconv_out_channels": (64, 64, 64),
        "deconv_kernel_sizes": (4, 4, 4),
        "loss": {"type": "KeypointMSELoss", "use_target_weight": True},
        "decoder": codec,
    }
    return {"backbone": {"type": "ResNet", "depth": 18, **backbone}, "head": head}, codec


def udp_model():
    """As `heatmap_model` with the UDP codec, and ResNet-50."""
    model, codec = heatmap_model()
    codec = {**codec, "type": "UDPHeatmap"}
    model["backbone"] = {"type": "ResNet", "depth": 50}
    model["head"] |= {"in_channels": 2048, "decoder": codec}
    return model, codec


def vit_model():
    """A small ViT as in ViTPose, without drop path, which would be random."""
    model, codec = heatmap_model()
    codec = {**codec, "type": "UDPHeatmap"}
    arch = {"embed_dims": 96, "num_layers": 4, "num_heads": 4, "feedforward_channels": 192}
    model["backbone"] = {
        "type": "mmpretrain.VisionTransformer",
        "arch": arch,
        "img_size": (96, 64),
        "patch_size": 16,
        "qkv_bias": True,
        "with_cls_token": False,
        "out_type": "featmap",
        "patch_cfg": {"padding": 2},
    }
    model["head"] |= {
        "in_channels": 96,
        "deconv_out_channels": (32, 32),
        "deconv_kernel_sizes": (4, 4),
        "decoder": codec,
    }
    return model, codec


def rtmpose_model():
    """RTMPose-t for 96 x 128 pixels."""
    codec = {
        "type": "SimCCLabel",
        "input_size": (96, 128),
        "sigma": (3.5, 4.0),
        "simcc_split_ratio": 2.0,
        "normalize": False,
        "use_dark": False,
    }
    backbone = {
        "_scope_": "mmdet",
        "type": "CSPNeXt",
        "arch": "P5",
        "expand_ratio": 0.5,
        "deepen_factor": 0.167,
        "widen_factor": 0.375,
        "out_indices": (4,),
        "channel_attention": True,
        "norm_cfg": {"type": "BN"},
        "act_cfg": {"type": "SiLU"},
    }
    gau = {"hidden_dims": 256, "s": 128, "expansion_factor": 2, "dropout_rate": 0.0}
    gau |= {"drop_path": 0.0, "act_fn": "SiLU", "use_rel_bias": False, "pos_enc": False}
    loss = {"type": "KLDiscretLoss", "use_target_weight": True, "beta": 10.0, "label_softmax": True}
    head = {
        "type": "RTMCCHead",
        "in_channels": 384,
        "out_channels": KEYPOINTS,
        "input_size": codec["input_size"],
        "in_featuremap_size": (3, 4),
        "simcc_split_ratio": 2.0,
        "final_layer_kernel_size": 7,
        "gau_cfg": gau,
        "loss": loss,
        "decoder": codec,
    }
    return {"backbone": backbone, "head": head}, codec


#: name -> (model, optim_wrapper, param_scheduler, custom_hooks)
CASES = {
    "heatmap, SGD": (heatmap_model, {"optimizer": SGD}, None, []),
    "heatmap, SGD, warm-up, steps, clipped": (
        heatmap_model,
        {"optimizer": SGD, "clip_grad": {"max_norm": 0.01}},
        [WARM_UP, STEPS_DOWN],
        [],
    ),
    "heatmap, Adam, warm-up, steps": (
        heatmap_model,
        {"optimizer": ADAM},
        [WARM_UP, STEPS_DOWN],
        [],
    ),
    "heatmap, Adam, 3 batches a step, EMA": (
        heatmap_model,
        {"optimizer": ADAM, "accumulative_counts": 3},
        [WARM_UP],
        [EMA],
    ),
    "heatmap, Adam, frozen stages": (
        lambda: heatmap_model(frozen_stages=2, norm_eval=True),
        {"optimizer": ADAM},
        None,
        [],
    ),
    "UDP ResNet-50, AdamW, clipped by value": (
        udp_model,
        {"optimizer": ADAMW | {"lr": 1e-3}, "clip_grad": {"type": "value", "clip_value": 1e-3}},
        [WARM_UP],
        [],
    ),
    "ViT, AdamW, rates falling with depth": (
        vit_model,
        {
            "optimizer": ADAMW | {"lr": 5e-4},
            "constructor": "LayerDecayOptimWrapperConstructor",
            "paramwise_cfg": {
                "num_layers": 4,
                "layer_decay_rate": 0.75,
                "custom_keys": {"bias": {"decay_multi": 0.0}, "norm": {"decay_mult": 0.0}},
            },
            "clip_grad": {"max_norm": 1.0, "norm_type": 2},
        },
        [WARM_UP],
        [],
    ),
    "RTMPose-t, SGD": (rtmpose_model, {"optimizer": SGD | {"lr": 0.005}}, None, []),
    "RTMPose-t, AdamW, warm-up, cosine, EMA": (
        rtmpose_model,
        {"optimizer": ADAMW, "paramwise_cfg": PLAIN_NORMS},
        [WARM_UP, COSINE],
        [EMA],
    ),
    "RTMPose-t, AdamW, 2 batches a step, clipped, EMA": (
        rtmpose_model,
        {
            "optimizer": ADAMW,
            "paramwise_cfg": PLAIN_NORMS,
            "accumulative_counts": 2,
            "clip_grad": {"max_norm": 35, "norm_type": 2},
        },
        [WARM_UP, COSINE],
        [EMA],
    ),
}


def make_data(folder):
    """Pictures of smooth spots, one a keypoint, and their annotation file."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    colours = rng.uniform(40, 200, (KEYPOINTS, 3))
    grid = np.arange(SIDE)
    images, annotations = [], []
    (folder / "images").mkdir(parents=True)
    for i in range(PICTURES):
        points = rng.uniform(24, SIDE - 24, (KEYPOINTS, 2)).round(1)
        spots = np.exp(-(((grid - points[:, :, None]) / 5.0) ** 2))
        picture = np.einsum("kx,ky,kc->yxc", spots[:, 0], spots[:, 1], colours)
        picture = (picture + rng.uniform(0, 40, picture.shape)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{i}.png"), picture)
        images.append({"id": i, "file_name": f"{i}.png", "width": SIDE, "height": SIDE})
        seen = np.where(rng.uniform(size=KEYPOINTS) < 0.85, 2, 0)
        row = {"id": i, "image_id": i, "category_id": 1, "iscrowd": 0, "area": 8000.0}
        row |= {"bbox": [16, 8, 96, 112], "num_keypoints": int((seen > 0).sum())}
        row["keypoints"] = np.column_stack([points, seen]).ravel().tolist()
        annotations.append(row)
    categories = [{"id": 1, "name": "person"}]
    tree = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "ann.json").write_text(json.dumps(tree))


def make_config(name, folder, steps):
    """Whole config of a case, as plain values."""
    make_model, optim_wrapper, schedules, hooks = CASES[name]
    model, codec = make_model()
    means = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
    preprocessor = {"type": "PoseDataPreprocessor", **means, "bgr_to_rgb": True}
    affine = {"type": "TopdownAffine", "input_size": codec["input_size"]}
    affine["use_udp"] = codec["type"] == "UDPHeatmap"
    pipeline = [{"type": "LoadImage"}, {"type": "GetBBoxCenterScale"}, affine]
    pipeline += [{"type": "GenerateTarget", "encoder": codec}, {"type": "PackPoseInputs"}]
    dataset = {"type": "CocoDataset", "data_root": f"{folder}/", "data_mode": "topdown"}
    dataset |= {"ann_file": "ann.json", "data_prefix": {"img": "images/"}, "pipeline": pipeline}
    loader = {"batch_size": BATCH, "num_workers": 0, "dataset": dataset, "drop_last": True}
    loader["sampler"] = {"type": "DefaultSampler", "shuffle": False}
    epochs = -(-steps // (PICTURES // BATCH))
    return {
        "default_scope": "mmpose",
        "model": {"type": "TopdownPoseEstimator", "data_preprocessor": preprocessor, **model},
        "train_dataloader": loader,
        "train_cfg": {"by_epoch": True, "max_epochs": epochs},
        "optim_wrapper": {"type": "OptimWrapper", **optim_wrapper},
        "param_scheduler": schedules,
        "default_hooks": {"checkpoint": {"type": "CheckpointHook", "interval": -1}},
        "custom_hooks": hooks,
        "randomness": {"seed": 0},
        "log_level": "ERROR",
        "work_dir": str(folder / "run"),
    }


def fill(model):
    """Weights that follow from each tensor's name: the same on both sides without a file."""
    import numpy as np
    import torch

    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not tensor.is_floating_point():
                continue
            rng = np.random.default_rng(zlib.crc32(name.encode()))
            values = rng.standard_normal(tuple(tensor.shape))
            if tensor.ndim > 1:
                values *= (1.0 / max(1, tensor[0].numel())) ** 0.5
            elif name.endswith(("weight", "running_var", ".g")):
                values = 1 + 0.05 * np.abs(values)
            else:
                values *= 0.02
            tensor.copy_(torch.from_numpy(np.asarray(values)))


def train(package, name, folder, steps):
    """Losses, rates and sums of the weights of one side."""
    import torch

    torch.set_num_threads(1)
    cfg = make_config(name, folder, steps)
    if package == "mmpose":
        import mmpose.models  # noqa: F401 - registers
        from mmengine.hooks import Hook
        from mmengine.registry import init_default_scope
        from mmengine.runner import Runner
        from mmpose.utils import register_all_modules

        register_all_modules()
        init_default_scope("mmpose")
        make = _peer_runner(Runner)
    else:
        from poise.training import Runner
        from poise.training.hooks import Hook

        def make(cfg):
            return Runner(cfg, accelerator="cpu", devices=1)

    rows, averages = [], {}

    class Record(Hook):
        priority = "LOWEST"

        def before_train(self, runner):
            fill(runner.model)
            for hook in runner.hooks:
                if type(hook).__name__ == "EMAHook":
                    averages["of"] = _restart_average(hook, runner.model, package)
            self.started = time.process_time()

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            now = time.process_time()
            values = {k: float(v) for k, v in outputs.items() if "loss" in k}
            groups = runner.optim_wrapper.param_groups
            # schedules have moved on already on both sides: the next step's rates
            rates = sorted({round(g["lr"], 15) for g in groups})
            rows.append({**values, "rates": rates, "ms": 1e3 * (now - self.started)})
            self.started = time.process_time()

    runner = make(cfg)
    record = Record()
    if package == "mmpose":
        runner.register_hook(record, "LOWEST")
    else:
        runner.cfg["custom_hooks"] = [*runner.cfg["custom_hooks"], record]
    runner.train()
    weights = {n: t.double().norm().item() for n, t in runner.model.state_dict().items()}
    average = averages["of"]() if averages else {}
    return {
        "losses": [r["loss"] for r in rows],
        "rates": [r["rates"] for r in rows],
        "weights": weights,
        "average": {n: t.double().norm().item() for n, t in average.items()},
        "ms": statistics.median(r["ms"] for r in rows[2:]),
    }


def _peer_runner(runner_class):
    def make(cfg):
        from mmengine.config import Config

        return runner_class.from_cfg(Config(cfg))

    return make


def _restart_average(hook, model, package):
    """Begin the average at the filled weights; what gives its tensors at the end."""
    if package == "poise":
        hook.average.copy_from(model.state_dict())
        return lambda: hook.average.shadow
    hook.ema_model.module.load_state_dict(model.state_dict())
    return lambda: hook.ema_model.module.state_dict()


def run_case(python, package, name, folder, steps):
    """One case in a process of its own."""
    command = [python, str(Path(__file__).resolve()), "--package", package, "--case", name]
    command += ["--folder", str(folder), "--steps", str(steps)]
    settings = {**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=settings)
    if done.returncode:
        raise SystemExit(f"{package} failed on '{name}':\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def difference(ours, theirs):
    """Largest relative difference of two lists or dicts of numbers of the same form."""
    if isinstance(ours, dict):
        if ours.keys() != theirs.keys():
            return float("inf")
        return max((difference(v, theirs[k]) for k, v in ours.items()), default=0.0)
    if isinstance(ours, list):
        if len(ours) != len(theirs):
            return float("inf")
        return max((difference(a, b) for a, b in zip(ours, theirs, strict=True)), default=0.0)
    return abs(ours - theirs) / max(abs(theirs), 1e-12)


def compare(options):
    """Run the chosen cases on both sides in turn, print a row each; the number of failures."""
    from benchmarks.common import cannot_run

    names = [n for n in CASES if not options.only or options.only in n]
    if not names:
        raise cannot_run(f"no case has '{options.only}' in its name: {', '.join(CASES)}")
    failed, recorded = 0, {}
    head = f"{'case':50}{'losses':>10}{'rates':>10}{'weights':>10}{'average':>10}"
    sys.stdout.write(f"{head}{'poise ms':>10}{'mmpose ms':>10}\n")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_data(folder)
        for name in names:
            ours = run_case(sys.executable, "poise", name, folder, options.steps)
            line = f"{name:50}"
            if options.peer:
                theirs = run_case(options.peer, "mmpose", name, folder, options.steps)
                parts = ("losses", "rates", "weights", "average")
                found = [difference(ours[p], theirs[p]) for p in parts]
                failed += found[0] > NOISE or found[1] > 1e-9
                line += "".join(f"{v:10.1e}" for v in found)
                recorded[name] = {k: theirs[k] for k in ("losses", "rates")}
            else:
                line += f"{'-':>10}" * 4
            line += f"{ours['ms']:10.1f}" + (f"{theirs['ms']:10.1f}" if options.peer else "")
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    if options.record and recorded:
        Path(options.record).write_text(json.dumps(recorded, indent=1) + "\n")
    return failed


def main():
    """Compare; or, with --package, train one side of one case and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter that can import mmpose")
    parser.add_argument("--steps", type=int, default=20, help="at least so many (whole epochs)")
    parser.add_argument("--only", default="", help="cases with this text in their name")
    parser.add_argument("--record", metavar="FILE", help="JSON file for the peer's losses")
    for name in ("--package", "--case", "--folder"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.package:
        return compare(options)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    result = train(options.package, options.case, Path(options.folder), options.steps)
    sys.stdout.write("\n" + json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    sys.exit(main())
