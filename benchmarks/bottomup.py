"""Times of whole samples of one-stage and bottom-up models; MMPose's beside them.

    python benchmarks/bottomup.py [--peer PYTHON] [--rounds 7] [--only rtmo]

The data sets are those of the released configs, with their own pipelines, on a made COCO file:
640 x 480 pictures with eight people on average. A sample is all that a data loader asks for, from
the record to the packed tensors, targets included. The libraries alternate, each in a process of
its own; CPU milliseconds on one thread, medians of the rounds.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

PICTURES, PEOPLE = 8, 8
SAMPLES = 12
CONFIGS = (
    "cid_hrnet-w32_8xb20-140e_coco-512x512",
    "dekr_hrnet-w32_8xb10-140e_coco-512x512",
    "rtmo-s_8xb32-600e_coco-640x640",
    "yoloxpose_s_8xb32-300e_coco-640",
)
CASES = tuple(f"{name}, {split}" for name in CONFIGS for split in ("train", "test"))


def write_data(folder: Path) -> None:
    """Pictures and a COCO file."""
    import numpy as np
    from metrics import truth, write_coco
    from transforms import synthetic_pictures

    synthetic_pictures(folder, PICTURES)
    image, box, points, crowd = truth(np.random.default_rng(0), PICTURES, PEOPLE, 17)
    write_coco(folder / "people.json", PICTURES, image, box, points, crowd & False)


def dataset_config(library: str, name: str, split: str) -> dict:
    """A released config's data set, as plain values."""
    if library == "poise":
        import poise

        config = poise.load_config(name)
    else:
        import mmpose
        from mmengine.config import Config

        folder = Path(mmpose.__file__).parent / ".mim" / "configs"
        config = Config.fromfile(next(folder.rglob(f"{name}.py")))
    return config.to_dict()[f"{split}_dataloader"]["dataset"]


def build(library: str, config: dict) -> object:
    """The data set of a config."""
    if library == "poise":
        from poise.registry import DATASETS
    else:
        import mmdet.datasets.transforms  # noqa: F401
        import mmpose.codecs
        import mmpose.datasets  # noqa: F401
        from mmengine.registry import init_default_scope
        from mmpose.registry import DATASETS

        init_default_scope("mmpose")
    return DATASETS.build(config)


def worker(library: str, folder: str) -> None:
    """Give the seconds that a sample of each case takes that is asked for."""
    warnings.simplefilter("ignore")
    import cv2
    import numpy as np
    import torch
    from common import answer_questions

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    held: dict[str, object] = {}

    def answer(case: str, seed: int) -> float:
        if case not in held:
            config = dataset_config(library, *case.split(", "))
            config |= {"data_root": "", "ann_file": f"{folder}/people.json"}
            held[case] = build(library, config | {"data_prefix": {"img": folder}})
        dataset = held[case]
        np.random.seed(seed)
        random.seed(seed)
        chosen = np.random.randint(0, len(dataset), SAMPLES).tolist()
        start = time.process_time()
        for index in chosen:
            dataset[index]
        return (time.process_time() - start) / SAMPLES

    answer_questions(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="python interpreter that has MMPose")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="part of the names to run")
    parser.add_argument("--worker", choices=("poise", "mmpose"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.folder)
        return
    from common import Worker, show

    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder))
        workers = {"poise": Worker(sys.executable, __file__, "poise", "--folder", folder)}
        if options.peer:
            workers["mmpose"] = Worker(options.peer, __file__, "mmpose", "--folder", folder)
        medians: dict[str, dict[str, float]] = {library: {} for library in workers}
        for case in (case for case in CASES if options.only.lower() in case.lower()):
            # one more than is counted: the first builds the data set and fills caches
            rounds = [
                [process.ask(case, seed) for process in workers.values()]
                for seed in range(options.rounds + 1)
            ]
            for library, times in zip(workers, zip(*rounds[1:], strict=True), strict=True):
                medians[library][case] = 1e3 * statistics.median(times)
        for process in workers.values():
            process.stop()
    show("CPU milliseconds per sample", medians["poise"], medians.get("mmpose"))


if __name__ == "__main__":
    main()
