"""Synthetic COCO annotations with predictions, shared by the tests of the metrics."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from poise.geometry.oks import COCO_SIGMAS


@pytest.fixture
def scene(tmp_path):
    """Maker of a small COCO dataset and of predictions for it."""

    def make(
        *,
        seed=0,
        images=8,
        people=5,
        noise=0.05,
        copies=1,
        keypoints=17,
        categories=1,
        bottom_up=False,
        crowds=True,
        ties=False,
        boxes=False,
    ):
        rng = np.random.default_rng(seed)
        coco = dict(
            images=[],
            annotations=[],
            categories=[dict(id=c + 1, name=str(c)) for c in range(categories)],
        )
        samples = []
        for image in range(images):
            coco["images"].append(
                dict(id=image * 3 + 1, width=640, height=480, crowdIndex=image / 10)
            )
            anns, poses = [], []
            for _ in range(people):
                size = rng.uniform(10, 300, 2)
                place = rng.uniform(0, 300, 2)
                pose = np.zeros((keypoints, 3))
                pose[:, :2] = place + rng.random((keypoints, 2)) * size
                pose[:, 2] = rng.integers(0, 3, keypoints) * (rng.random() > 0.15)
                ann = dict(
                    id=len(coco["annotations"]) + 1,
                    image_id=image * 3 + 1,
                    category_id=int(rng.integers(categories)) + 1,
                    keypoints=pose.ravel().tolist(),
                    num_keypoints=int((pose[:, 2] > 0).sum()),
                    bbox=[*place.tolist(), *size.tolist()],
                    area=float(size.prod() * 0.6),
                    iscrowd=int(crowds and rng.random() < 0.15),
                )
                coco["annotations"].append(ann)
                anns.append(ann)
                for _ in range(copies):
                    moved = pose[:, :2] + rng.normal(size=(keypoints, 2)) * noise * np.sqrt(
                        size.prod()
                    )
                    score = rng.random(keypoints)
                    poses.append((ann, moved, np.round(score, 1) if ties else score))
            groups = [poses] if bottom_up else [[p] for p in poses]
            for number, group in enumerate(groups):
                ids = [a["id"] for a in anns] if bottom_up else image * 1000 + number
                pred = dict(
                    keypoints=np.stack([p[1] for p in group]),
                    keypoint_scores=np.stack([p[2] for p in group]),
                )
                if boxes:
                    xywh = np.array([p[0]["bbox"] for p in group])
                    xywh[:, 2:] += xywh[:, :2]
                    pred |= dict(bboxes=xywh, bbox_scores=rng.random(len(group)))
                samples.append(
                    dict(
                        id=ids,
                        img_id=image * 3 + 1,
                        category_id=group[0][0]["category_id"],
                        ori_shape=(480, 640),
                        crowd_index=image / 10,
                        raw_ann_info=anns if bottom_up else group[0][0],
                        gt_instances=dict(bbox_scores=rng.random(len(group))),
                        pred_instances=pred,
                    )
                )
        path = tmp_path / "annotations.json"
        path.write_text(json.dumps(coco))
        meta = dict(
            dataset_name="synthetic",
            num_keypoints=keypoints,
            sigmas=np.resize(COCO_SIGMAS, keypoints).astype(np.float32),
            CLASSES=coco["categories"],
        )
        return SimpleNamespace(coco=coco, samples=samples, path=str(path), meta=meta)

    return make


@pytest.fixture
def run():
    """Feed samples to a metric and evaluate it."""

    def evaluate(metric, samples, meta=None, size=None):
        if meta is not None:
            metric.dataset_meta = meta
        for sample in samples:
            metric.process([None], [sample])
        return metric.evaluate(len(samples) if size is None else size)

    return evaluate
