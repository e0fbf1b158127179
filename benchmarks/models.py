"""Times of the forward pass of each family of networks at batch 8; with `--peer`, MMPose's beside.

    python benchmarks/models.py [--peer PYTHON] [--only hrnet] [--rounds 15]

One small variant of each backbone and head, with inputs smaller than those of training where that
saves time; at the end, what comes after the network in heads that find people themselves. All fill
their network with the same weights; each works in a process of its own and calls alternate, so that
a busy machine slows all down alike. CPU milliseconds on one thread, medians. "Times faster" is the
median over pairs of neighbouring calls, with the quartiles of the pairs; "quick" is a network told
to `prefer_speed()`. Also printed is how far the outputs are apart, relative to their mean.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
import zlib
from dataclasses import dataclass, field
from typing import Any

BATCH = 8


@dataclass(frozen=True)
class Case:
    """What runs."""

    config: str
    #: (width, height) of the pictures
    size: tuple[int, int] = (96, 128)
    #: "tensor", "predict", or "decode": the head's predictions of features that are there
    way: str = "tensor"
    #: size of an input that is no picture
    shape: tuple[int, ...] | None = None
    batch: int = BATCH
    test_cfg: dict[str, Any] = field(default_factory=dict)


CASES = {
    "AlexNet": Case("td-hm_alexnet_8xb64-210e_coco-256x192", (192, 256)),
    "CPM": Case("td-hm_cpm_8xb64-210e_coco-256x192"),
    "Hourglass": Case("td-hm_hourglass52_8xb32-210e_coco-256x256", (128, 128)),
    "HRNet": Case("td-hm_hrnet-w32_8xb64-210e_coco-256x192"),
    "HRFormer": Case("td-hm_hrformer-small_8xb32-210e_coco-256x192"),
    "Lite-HRNet": Case("td-hm_litehrnet-18_8xb64-210e_coco-256x192"),
    "MobileNetV2": Case("td-hm_mobilenetv2_8xb64-210e_coco-256x192"),
    "MSPN": Case("td-hm_mspn50_8xb32-210e_coco-256x192"),
    "PVT": Case("td-hm_pvt-s_8xb64-210e_coco-256x192", (192, 256)),
    "ResNet": Case("td-hm_res50_8xb64-210e_coco-256x192"),
    "ResNeSt": Case("td-hm_resnest50_8xb64-210e_coco-256x192"),
    "ResNetV1d": Case("td-hm_resnetv1d50_8xb64-210e_coco-256x192"),
    "ResNeXt": Case("td-hm_resnext50_8xb64-210e_coco-256x192"),
    "RSN": Case("td-hm_rsn18_8xb32-210e_coco-256x192"),
    "SCNet": Case("td-hm_scnet50_8xb64-210e_coco-256x192", (128, 128)),
    "SEResNet": Case("td-hm_seresnet50_8xb64-210e_coco-256x192"),
    "ShuffleNetV1": Case("td-hm_shufflenetv1_8xb64-210e_coco-256x192"),
    "ShuffleNetV2": Case("td-hm_shufflenetv2_8xb64-210e_coco-256x192"),
    "Swin": Case("td-hm_swin-t-p4-w7_8xb32-210e_coco-256x192"),
    "VGG": Case("td-hm_vgg16-bn_8xb64-210e_coco-256x192"),
    "ViPNAS MobileNetV3": Case("td-hm_vipnas-mbv3_8xb64-210e_coco-256x192"),
    "ViPNAS ResNet": Case("td-hm_vipnas-res50_8xb64-210e_coco-256x192"),
    "ViTPose": Case("td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192", (192, 256)),
    "DeepPose": Case("td-reg_res50_8xb64-210e_coco-256x192"),
    "RLE": Case("td-reg_res50_rle-8xb64-210e_coco-256x192"),
    "SimCC": Case("simcc_res50_8xb64-210e_coco-256x192", (192, 256)),
    "RTMPose": Case("rtmpose-t_8xb256-420e_coco-256x192", (192, 256)),
    "RTMW": Case("rtmw-m_8xb1024-270e_cocktail14-256x192", (192, 256)),
    "RTMO": Case("rtmo-s_8xb32-600e_coco-640x640", (256, 256)),
    "YOLOX-Pose": Case("yoloxpose_tiny_4xb64-300e_coco-416", (256, 256)),
    "associative embedding": Case("ae_hrnet-w32_8xb24-300e_coco-512x512", (128, 128)),
    "MotionBERT": Case(
        "motionbert_dstformer-243frm_8xb32-240e_h36m-original", shape=(BATCH, 27, 17, 3)
    ),
    "VideoPose3D": Case("video-pose-lift_tcn-27frm-supv_8xb128-160e_h36m", shape=(BATCH, 34, 27)),
    "SimpleBaseline3D": Case("image-pose-lift_tcn_8xb64-200e_h36m", shape=(BATCH, 34, 1)),
    "ED-Pose": Case("edpose_res50_8xb2-50e_coco-800x1333", (256, 192), "predict", batch=2),
    "DEKR": Case("dekr_hrnet-w32_8xb10-140e_coco-512x512", (256, 256), "predict", batch=1),
    "RTMO decode, 2000 cells": Case(
        "rtmo-s_8xb32-600e_coco-640x640", (640, 640), "decode", test_cfg={"score_thr": 0.01}
    ),
    "RTMO decode, 700 cells": Case(
        "rtmo-s_8xb32-600e_coco-640x640", (640, 640), "decode", test_cfg={"score_thr": 0.9}
    ),
    "YOLOX-Pose decode": Case("yoloxpose_tiny_4xb64-300e_coco-416", (416, 416), "decode"),
}


def config_of(name):
    """The config of a zoo model, as plain values that every library builds."""
    import poise

    return without_weights(poise.load_config(name).to_dict()["model"])


def without_weights(value):
    """A config that downloads nothing."""
    if isinstance(value, dict):
        skip = ("init_cfg", "pretrained")
        return {k: without_weights(v) for k, v in value.items() if k not in skip}
    if isinstance(value, (list, tuple)):
        return [without_weights(v) for v in value]
    return value


def network(library, config):
    """The filled network."""
    import torch

    if library == "poise":
        from poise.registry import MODELS
    else:
        from mmengine.registry import init_default_scope
        from mmpose.registry import MODELS

        init_default_scope("mmpose")
    model = MODELS.build(config).eval()
    for key, tensor in model.state_dict().items():
        if tensor.is_floating_point() and "running_var" not in key:
            generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
            fan = max(tensor[0].numel(), 16) if tensor.ndim > 1 else 400
            noise = torch.randn(tensor.shape, generator=generator) * (2 / fan) ** 0.5
            tensor.copy_(noise + (tensor.ndim == 1 and key.endswith("weight")))
    return model


def samples(library, case):
    """Samples to predict for, as the test pipeline leaves them."""
    import numpy as np

    if library == "poise":
        from poise.structures import PoseDataSample
    else:
        from mmpose.structures import PoseDataSample
    width, height = case.size
    info = {
        "input_size": case.size,
        "input_center": np.array([width / 2, height / 2]),
        "input_scale": np.array([width, height], float),
        "flip_indices": [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15],
        **dict.fromkeys(("img_shape", "ori_shape", "batch_input_shape"), (height, width)),
    }
    return [PoseDataSample(metainfo=info) for _ in range(case.batch)]


def prepared(library, quick, case, config):
    """A function without arguments: what is measured."""
    import torch

    model = network(library, config)
    if quick:
        model.prefer_speed()
    model.test_cfg = {**(model.test_cfg or {}), **case.test_cfg}
    width, height = case.size
    shape = case.shape or (case.batch, 3, height, width)
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    if case.way == "tensor":
        return lambda: model(inputs, None, mode="tensor")
    people = samples(library, case)
    if case.way == "predict":
        return lambda: model(inputs, people, mode="predict")
    feats = model.extract_feat(inputs)
    return lambda: model.head.predict(feats, people, test_cfg=model.test_cfg)


def worker(library, quick):
    """Give a time, and figures of the outputs, of each case and its config that is asked for."""
    warnings.simplefilter("ignore")
    import torch
    from common import answer_questions

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    run, held, figures = None, "", []

    def answer(name, config):
        nonlocal run, held, figures
        try:
            if name != held:
                run = None
                run, held = prepared(library, quick, CASES[name], config), name
                figures = fingerprints(run())
            start = time.process_time()
            run()
            return time.process_time() - start, figures
        except Exception as error:  # one network that cannot run is no reason to stop
            run, held = None, ""
            return f"{type(error).__name__}: {error}"

    answer_questions(answer)


def fingerprints(value):
    """Mean magnitude, and a sum that knows the order, of each array of an output, in order."""
    import torch

    value = getattr(value, "pred_instances", value)
    if hasattr(value, "keypoint_scores"):
        value = [value.keypoints, value.keypoint_scores]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [pair for entry in value for pair in fingerprints(entry)]
    flat = torch.as_tensor(value).double().flatten()
    mean = float(flat.abs().mean()) if len(flat) else 0.0
    return [
        (mean, float(flat @ torch.arange(len(flat), dtype=torch.float64).cos()) / max(len(flat), 1))
    ]


def apart(figures, others):
    """Largest difference of fingerprints, relative to the mean magnitude."""
    if len(figures) != len(others):
        return float("inf")
    pairs = zip(figures, others, strict=True)
    return max(
        abs(a - b) / max(theirs[0], 1e-12)
        for own, theirs in pairs
        for a, b in zip(own, theirs, strict=True)
    )


def measure(workers, case, rounds):
    """Library -> (times in milliseconds, fingerprints); library -> a text where it cannot run."""
    runs = {library: [] for library in workers}
    config = config_of(CASES[case].config)
    for _ in range(rounds):
        for library, process in workers.items():
            answer = process.ask(case, config)
            if isinstance(answer, str):
                return {library: answer}
            runs[library].append(answer)
    return {library: ([t * 1e3 for t, _ in r], r[0][1]) for library, r in runs.items()}


def ratio(times, others):
    """Others' times over ours, pair by pair: "median (lower quartile-upper quartile)"."""
    ratios = [other / own for own, other in zip(times, others, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="python interpreter that has MMPose")
    parser.add_argument("--only", default="", help="parts of the names to run, commas between")
    parser.add_argument("--rounds", type=int, default=15, help="calls of each, at least 2")
    parser.add_argument("--worker", choices=("poise", "mmpose"), help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args.worker, args.quick)
        return
    from common import Worker

    base = "mmpose" if args.peer else "poise"
    workers = {
        "poise": Worker(sys.executable, __file__, "poise"),
        "quick": Worker(sys.executable, __file__, "poise", "--quick"),
    }
    if args.peer:
        workers["mmpose"] = Worker(args.peer, __file__, "mmpose")
    head = f"{f'CPU milliseconds, batch {BATCH}':24}{base:>10}{'times faster':>20}{'apart':>8}"
    print(head + f"{'quick':>20}{'apart':>8}")
    for name in CASES:
        if not any(part.lower() in name.lower() for part in args.only.split(",")):
            continue
        found = measure(workers, name, max(args.rounds, 2))
        if any(isinstance(answer, str) for answer in found.values()):
            print(f"{name:24}  {found}", flush=True)
            continue
        theirs, others = found[base]
        line = f"{name:24}{statistics.median(theirs):10,.1f}"
        for library in ("poise", "quick"):
            times, figures = found[library]
            line += f"{ratio(times, theirs):>20}{apart(figures, others):8.0e}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
