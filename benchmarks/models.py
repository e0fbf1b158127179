"""Times of the forward pass of each family of networks at batch 8; with `--peer`, MMPose's beside.

    python benchmarks/models.py [--peer PYTHON] [--only hrnet] [--rounds 5]

One small variant of each backbone and head, with inputs smaller than those of training where that
saves time. Both libraries fill their network with the same weights; each works in a process of
its own and rounds alternate, so that a busy machine slows both down alike. CPU milliseconds on
one thread, medians; also printed is how far the outputs are apart.

Not here: DEKR, whose deformable convolution MMPose takes from compiled operators of mmcv, and
ED-Pose, which has no forward pass without decoding in MMPose.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
import zlib
from pathlib import Path

BATCH = 8
BODY = (96, 128)
#: case -> config and size of the input (width, height)
CASES = {
    "AlexNet": ("td-hm_alexnet_8xb64-210e_coco-256x192", (192, 256)),
    "CPM": ("td-hm_cpm_8xb64-210e_coco-256x192", BODY),
    "Hourglass": ("td-hm_hourglass52_8xb32-210e_coco-256x256", (128, 128)),
    "HRNet": ("td-hm_hrnet-w32_8xb64-210e_coco-256x192", BODY),
    "HRFormer": ("td-hm_hrformer-small_8xb32-210e_coco-256x192", BODY),
    "Lite-HRNet": ("td-hm_litehrnet-18_8xb64-210e_coco-256x192", BODY),
    "MobileNetV2": ("td-hm_mobilenetv2_8xb64-210e_coco-256x192", BODY),
    "MSPN": ("td-hm_mspn50_8xb32-210e_coco-256x192", BODY),
    "PVT": ("td-hm_pvt-s_8xb64-210e_coco-256x192", (192, 256)),
    "ResNet": ("td-hm_res50_8xb64-210e_coco-256x192", BODY),
    "ResNeSt": ("td-hm_resnest50_8xb64-210e_coco-256x192", BODY),
    "ResNetV1d": ("td-hm_resnetv1d50_8xb64-210e_coco-256x192", BODY),
    "ResNeXt": ("td-hm_resnext50_8xb64-210e_coco-256x192", BODY),
    "RSN": ("td-hm_rsn18_8xb32-210e_coco-256x192", BODY),
    "SCNet": ("td-hm_scnet50_8xb64-210e_coco-256x192", (128, 128)),
    "SEResNet": ("td-hm_seresnet50_8xb64-210e_coco-256x192", BODY),
    "ShuffleNetV1": ("td-hm_shufflenetv1_8xb64-210e_coco-256x192", BODY),
    "ShuffleNetV2": ("td-hm_shufflenetv2_8xb64-210e_coco-256x192", BODY),
    "Swin": ("td-hm_swin-t-p4-w7_8xb32-210e_coco-256x192", BODY),
    "VGG": ("td-hm_vgg16-bn_8xb64-210e_coco-256x192", BODY),
    "ViPNAS MobileNetV3": ("td-hm_vipnas-mbv3_8xb64-210e_coco-256x192", BODY),
    "ViPNAS ResNet": ("td-hm_vipnas-res50_8xb64-210e_coco-256x192", BODY),
    "ViTPose": ("td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192", (192, 256)),
    "DeepPose": ("td-reg_res50_8xb64-210e_coco-256x192", BODY),
    "RLE": ("td-reg_res50_rle-8xb64-210e_coco-256x192", BODY),
    "SimCC": ("simcc_res50_8xb64-210e_coco-256x192", (192, 256)),
    "RTMPose": ("rtmpose-t_8xb256-420e_coco-256x192", (192, 256)),
    "RTMW": ("rtmw-m_8xb1024-270e_cocktail14-256x192", (192, 256)),
    "RTMO": ("rtmo-s_8xb32-600e_coco-640x640", (256, 256)),
    "YOLOX-Pose": ("yoloxpose_tiny_4xb64-300e_coco-416", (256, 256)),
    "associative embedding": ("ae_hrnet-w32_8xb24-300e_coco-512x512", (128, 128)),
    "MotionBERT": ("motionbert_dstformer-243frm_8xb32-240e_h36m-original", None),
    "VideoPose3D": ("pose-lift_videopose3d-27frm-supv_8xb128-160e_h36m", None),
    "SimpleBaseline3D": ("pose-lift_simplebaseline3d_8xb64-200e_h36m", None),
}
#: inputs of networks that do not look at pictures
SEQUENCES = {
    "MotionBERT": (BATCH, 81, 17, 3),
    "VideoPose3D": (BATCH, 34, 81),
    "SimpleBaseline3D": (BATCH, 34, 1),
}


def config_of(library, name):
    """The config of a zoo model."""
    if library == "poise":
        import poise

        return poise.load_config(name).to_dict()["model"]
    import mmpose
    from mmengine.config import Config

    folder = Path(mmpose.__file__).parent / ".mim" / "configs"
    return Config.fromfile(next(folder.rglob(f"{name}.py"))).model.to_dict()


def without_weights(value):
    """A config that downloads nothing."""
    if isinstance(value, dict):
        skip = ("init_cfg", "pretrained")
        return {k: without_weights(v) for k, v in value.items() if k not in skip}
    if isinstance(value, (list, tuple)):
        return [without_weights(v) for v in value]
    return value


def network(library, name):
    """The filled network and the loader of its input."""
    import torch

    config = without_weights(config_of(library, name))
    if library == "poise":
        from poise.registry import MODELS
    else:
        from mmengine.registry import init_default_scope
        from mmpose.registry import MODELS

        init_default_scope("mmpose")
    model = MODELS.build(config).eval()
    for key, tensor in model.state_dict().items():
        if tensor.is_floating_point() and "running_var" not in key and tensor.numel() > 1:
            generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
            fan = max(tensor[0].numel(), 16) if tensor.ndim > 1 else 400
            noise = torch.randn(tensor.shape, generator=generator) * (2 / fan) ** 0.5
            tensor.copy_(noise + (tensor.ndim == 1 and key.endswith("weight")))
    return model


def worker(library):
    """Serve: a line with a case on stdin; a time, and sums of the outputs, on stdout."""
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    out, sys.stdout = sys.stdout, sys.stderr
    print("ready", file=out, flush=True)
    model, inputs, held = None, None, ""
    for line in sys.stdin:
        case = line.strip()
        try:
            if case != held:
                del model
                name, size = CASES[case]
                model, held = network(library, name), case
                shape = SEQUENCES.get(case) or (BATCH, 3, size[1], size[0])
                inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
                with torch.no_grad():
                    model(inputs, None, mode="tensor")
            with torch.no_grad():
                start = time.process_time()
                outputs = model(inputs, None, mode="tensor")
                spent = time.process_time() - start
            print(json.dumps([spent, sums(outputs)]), file=out, flush=True)
        except Exception as error:  # one network that cannot run is no reason to stop
            print(json.dumps(f"{type(error).__name__}: {error}"), file=out, flush=True)
            model, held = None, ""


def sums(value):
    """Mean magnitude of each tensor of an output, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [number for entry in value for number in sums(entry)]
    return [float(value.double().abs().mean())] if hasattr(value, "double") else []


class Worker:
    """A library in its own process."""

    def __init__(self, python, library):
        settings = {"OMP_NUM_THREADS": "1", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
        self.process = subprocess.Popen(
            [python, __file__, "--worker", library],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | settings,
        )
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit(f"{library} did not start in {python}")

    def run(self, case):
        self.process.stdin.write(f"{case}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def measure(workers, case, rounds):
    """Library -> (median CPU milliseconds, sums); a text where it cannot run."""
    runs = {library: [] for library in workers}
    for _ in range(rounds):
        for library, process in workers.items():
            answer = process.run(case)
            if isinstance(answer, str):
                return {library: answer}
            runs[library].append(answer)
    return {
        library: (statistics.median(t for t, _ in r) * 1e3, r[0][1]) for library, r in runs.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="python interpreter that has MMPose")
    parser.add_argument("--only", default="", help="parts of the names to run, commas between")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--worker", choices=("poise", "mmpose"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args.worker)
        return
    workers = {"poise": Worker(sys.executable, "poise")}
    if args.peer:
        workers["mmpose"] = Worker(args.peer, "mmpose")
    head = f"CPU milliseconds, batch {BATCH}{'':22}{'poise':>12}"
    print(head + (f"{'mmpose':>12}{'times faster':>14}{'apart':>10}" if args.peer else ""))
    for case in CASES:
        if not any(part.lower() in case.lower() for part in args.only.split(",")):
            continue
        found = measure(workers, case, args.rounds)
        if any(isinstance(answer, str) for answer in found.values()):
            print(f"{case:44}  {found}", flush=True)
            continue
        ours, own = found["poise"]
        line = f"{case:44}{ours:12,.1f}"
        if args.peer:
            theirs, other = found["mmpose"]
            pairs = zip(own, other, strict=True)
            apart = max(abs(a - b) / max(abs(b), 1e-12) for a, b in pairs)
            line += f"{theirs:12,.1f}{theirs / ours:14.2f}{apart:10.0e}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
