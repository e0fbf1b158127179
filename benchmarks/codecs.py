"""Times of encoding and decoding, per sample and per batch, and MMPose's beside them.

    python benchmarks/codecs.py [--peer PYTHON] [--rounds 15] [--only UDP]

`--peer` is a Python that can import MMPose; the same file then runs there, too. Times are
medians of CPU microseconds per sample on one thread; the last column is the peer's time over
ours.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import cv2  # noqa: E402
import numpy as np  # noqa: E402

BATCH = 64
ORDER = [0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16]
TOPDOWN = {
    "MSRAHeatmap": {"sigma": 2},
    "MSRAHeatmap unbiased": {"sigma": 2, "unbiased": True},
    "UDPHeatmap": {"sigma": 2},
    "UDPHeatmap combined": {"heatmap_type": "combined"},
    "MegviiHeatmap": {"kernel_size": 11},
}


def median_time(call, rounds):
    """Median CPU seconds of a call, with enough repetitions to be measurable."""
    call()
    start = time.process_time()
    call()
    repeat = max(1, int(0.02 / max(time.process_time() - start, 1e-6)))
    times = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(repeat):
            call()
        times.append((time.process_time() - start) / repeat)
    return statistics.median(times)


def people(rng, count, width, height):
    """Keypoints (count, 17, 2): people of a fifth of the picture."""
    center = rng.uniform(0.2, 0.8, (count, 1, 2)) * [width, height]
    return (center + rng.normal(size=(count, 17, 2)) * 0.07 * width).astype(np.float32)


def topdown_cases(codecs, rng):
    """name -> (call, samples per call) for one person on 192 x 256."""
    keypoints = rng.uniform(10, 180, (1, 17, 2)).astype(np.float32)
    visible = np.ones((1, 17), np.float32)
    for name, options in TOPDOWN.items():
        codec = getattr(codecs, name.split()[0])(
            input_size=(192, 256), heatmap_size=(48, 64), **options
        )
        yield from encode_cases(name, codec, keypoints, visible)
        maps = codec.encode(keypoints, visible)["heatmaps"]
        batch = np.repeat(maps[None], BATCH, 0)
        batch = (batch + rng.normal(size=batch.shape) * 0.01 * maps.max()).astype(np.float32)
        yield from decode_cases(name, codec, (batch,))
    for name, options in (
        ("SimCCLabel", {"sigma": (4.9, 5.66), "normalize": False}),
        ("SimCCLabel dark", {"sigma": (4.9, 5.66), "normalize": False, "use_dark": True}),
    ):
        codec = codecs.SimCCLabel(input_size=(192, 256), **options)
        yield from encode_cases(name, codec, keypoints, visible)
        labels = codec.encode(keypoints, visible)
        batch = tuple(
            np.repeat(labels[f"keypoint_{a}_labels"], BATCH, 0)[:, None].copy() for a in "xy"
        )
        yield from decode_cases(name, codec, batch)
    for name, options in (
        ("RegressionLabel", {}),
        ("IntegralRegressionLabel", {"heatmap_size": (48, 64), "sigma": 2}),
    ):
        codec = getattr(codecs, name)(input_size=(192, 256), **options)
        yield from encode_cases(name, codec, keypoints, visible)
        yield from decode_cases(name, codec, (np.repeat(keypoints[None], BATCH, 0),))


def encode_cases(name, codec, keypoints, visible):
    """Encoding sample by sample, and all at once where the codec can."""
    yield f"{name} encode", lambda: codec.encode(keypoints, visible), 1
    batch, seen = (np.repeat(a[None], BATCH, 0) for a in (keypoints, visible))
    batch = batch + np.linspace(-3, 3, BATCH, dtype=np.float32)[:, None, None, None]
    title = f"{name} encode batch of {BATCH}"
    if getattr(codec, "support_batch_encoding", False):
        yield title, lambda: codec.batch_encode(batch, seen), BATCH
    else:
        pairs = list(zip(batch, seen, strict=True))
        yield title, lambda: [codec.encode(*pair) for pair in pairs], BATCH


def decode_cases(name, codec, batch):
    """Decoding sample by sample, and all at once where the codec can."""
    given = copied if writes(codec, batch) else list
    yield f"{name} decode", lambda: codec.decode(*given(b[0] for b in batch)), 1
    title = f"{name} decode batch of {BATCH}"
    if codec.support_batch_decoding:
        yield title, lambda: codec.batch_decode(*batch), BATCH
    else:
        samples = list(zip(*batch, strict=True))
        yield title, lambda: [codec.decode(*given(sample)) for sample in samples], BATCH


def copied(arrays):
    return [a.copy() for a in arrays]


def writes(codec, batch):
    """Whether decoding changes what it is given, so that the next call needs a new copy."""
    sample = copied(b[0] for b in batch)
    codec.decode(*sample)
    return not all(np.array_equal(a, b[0]) for a, b in zip(sample, batch, strict=True))


def bottomup_cases(codecs, rng):
    """The same for several people on 512 x 512."""
    import torch

    torch.set_num_threads(1)
    sizes = {"input_size": (512, 512), "heatmap_size": (128, 128)}
    spr = codecs.SPR(sigma=(4, 2), generate_keypoint_heatmaps=True, **sizes)
    cid = codecs.DecoupledHeatmap(**sizes)
    embedding = codecs.AssociativeEmbedding(
        input_size=(512, 512), heatmap_size=(256, 256), decode_keypoint_order=ORDER
    )
    for count in (3, 10, 25):
        keypoints = people(rng, count, 512, 512)
        visible = np.ones((count, 17), np.float32)
        yield f"SPR encode {count} people", lambda k=keypoints, v=visible: spr.encode(k, v), 1
        maps = spr.encode(keypoints, visible)
        pair = [torch.from_numpy(maps[k]) for k in ("heatmaps", "displacements")]
        yield f"SPR decode {count} people", lambda p=pair: spr.decode(*p), 1
        yield f"Decoupled encode {count} people", lambda k=keypoints, v=visible: cid.encode(k, v), 1
        own = cid.encode(keypoints, visible)["instance_heatmaps"].reshape(-1, 17, 128, 128)
        scores = np.ones((len(own), 1), np.float32)
        yield f"Decoupled decode {count} people", lambda m=own, s=scores: cid.decode(m, s), 1
        maps = embedding.encode(keypoints, visible)
        yield (
            f"AssociativeEmbedding encode {count} people",
            lambda k=keypoints, v=visible: embedding.encode(k, v),
            1,
        )
        heat = maps["heatmaps"] + rng.normal(size=maps["heatmaps"].shape) * 0.01
        tags = rng.normal(size=heat.shape) * 0.1
        places = np.round(keypoints / 2).clip(2, 253).astype(int)
        for n in range(count):
            for k, (x, y) in enumerate(places[n]):
                tags[k, y - 2 : y + 3, x - 2 : x + 3] = 2 * n + rng.normal() * 0.1
        pair = [torch.from_numpy(a.astype(np.float32))[None] for a in (heat, tags)]
        yield (
            f"AssociativeEmbedding decode {count} people",
            lambda p=pair: embedding.batch_decode(*(t.clone() for t in p)),
            1,
        )


def measure(package, rounds, only):
    """name -> CPU microseconds per sample."""
    cv2.setNumThreads(1)
    codecs = importlib.import_module(f"{package}.codecs")
    results = {}
    for cases in (topdown_cases, bottomup_cases):
        for name, call, samples in cases(codecs, np.random.default_rng(0)):
            if only.lower() in name.lower():
                results[name] = median_time(call, rounds) / samples * 1e6
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="python that can import mmpose")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="part of the names to run")
    parser.add_argument("--package", default="poise", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print the times as JSON")
    args = parser.parse_args()
    times = measure(args.package, args.rounds, args.only)
    if not times:
        parser.error(f"--only {args.only}: no case has this in its name")
    if args.json:
        print(json.dumps(times))
        return
    from common import peer_times, show

    peer = {}
    if args.peer:
        options = ["--rounds", str(args.rounds), "--only", args.only]
        peer = peer_times(args.peer, __file__, options)
    show("CPU microseconds per sample", times, peer)


if __name__ == "__main__":
    main()
