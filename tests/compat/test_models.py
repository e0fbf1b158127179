"""Helpers of models, registries of MMDetection's scope and COCO's files, under their old names."""

import numpy as np
import pytest
import torch
from torch import nn

import poise.compat as compat
from poise.compat import coco, mmdet
from poise.errors import ArgumentError
from poise.models.base_model import BaseModel
from poise.registry import MODELS, current_scope


def test_plain_norms_take_the_place_of_synchronised_ones():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.SyncBatchNorm(4)).eval()
    model[1].running_mean += 2
    plain = compat.revert_sync_batchnorm(model)
    assert not any(isinstance(m, nn.SyncBatchNorm) for m in plain.modules())
    assert not plain[1].training
    assert plain[1].running_mean[0] == 2
    assert plain(torch.zeros(1, 3, 2, 2)).shape == (1, 4, 2, 2)
    assert not compat.is_model_wrapper(plain)
    assert compat.is_model_wrapper(nn.DataParallel(plain))


def test_pictures_of_several_sizes_become_one_batch():
    batch = compat.stack_batch([torch.ones(3, 5, 4), torch.ones(3, 2, 9)], 4, pad_value=7)
    assert batch.shape == (2, 3, 8, 12)
    assert batch[0, :, :5, :4].eq(1).all()
    assert batch[0, :, 5:].eq(7).all()
    assert batch[1, :, :2, 9:].eq(7).all()


def test_scores_above_the_threshold_come_highest_first():
    scores = torch.tensor([[0.1, 0.9], [0.5, 0.2], [0.8, 0.7]])
    boxes = torch.arange(3)[:, None]
    kept, classes, rows, found = compat.filter_scores_and_topk(scores, 0.4, 3, {"boxes": boxes})
    assert kept.tolist() == pytest.approx([0.9, 0.8, 0.7])
    assert classes.tolist() == [1, 0, 1]
    assert rows.tolist() == [0, 2, 2]
    assert found["boxes"].flatten().tolist() == [0, 2, 2]
    assert compat.filter_scores_and_topk(scores, 0.4, 1, [boxes])[3][0].tolist() == [[0]]
    assert compat.filter_scores_and_topk(scores, 2.0, 1)[3] is None


def test_checkpoints_are_read_and_found(tmp_path):
    torch.save({"state_dict": {"a": torch.ones(2)}}, tmp_path / "epoch_1.pth")
    content = compat.CheckpointLoader.load_checkpoint(tmp_path / "epoch_1.pth")
    assert compat.weights_to_cpu(content["state_dict"])["a"].tolist() == [1, 1]
    # a file without the versions of its modules would be taken for one of MMPose 0.x
    weights = torch.nn.Linear(1, 1).state_dict()
    assert compat.weights_to_cpu(weights)._metadata == weights._metadata
    assert compat.find_latest_checkpoint(str(tmp_path)) == str(tmp_path / "epoch_1.pth")
    assert compat.find_latest_checkpoint(tmp_path / "none") is None


def test_a_model_of_its_own_takes_steps():
    class Own(BaseModel):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, inputs, data_samples=None, mode="tensor"):
            out = self.layer(torch.stack(list(inputs)))
            return {"loss_own": out.square()} if mode == "loss" else out

    torch.manual_seed(0)
    model = Own()
    sgd = torch.optim.SGD(model.parameters(), 0.1)
    batch = {"inputs": [torch.ones(2)], "data_samples": [None]}
    before = model.train_step(batch, sgd)["loss"]
    assert model.train_step(batch, sgd)["loss"] < before
    assert model.val_step(batch).shape == (1, 1)


def test_classes_of_mmdetections_registry_have_its_scope():
    @mmdet.MODELS.register_module(force=True)
    class Shared:
        pass

    assert MODELS.get("mmdet.Shared") is Shared
    assert MODELS.get("Shared") is None
    assert isinstance(mmdet.MODELS.build({"type": "Shared"}), Shared)
    assert mmdet.MODELS.get("YOLOXHead").__name__ == "YOLOXHead"


def test_the_default_scope_is_told_and_set():
    with compat.DefaultScope.overwrite_default_scope("mmdet"):
        assert compat.DefaultScope.get_current_instance().scope_name == "mmdet"
        assert compat.DefaultScope.get_instance("x", scope_name="mmpose").scope_name == "mmpose"
    assert current_scope() == "mmpose"
    assert compat.DefaultScope.check_instance_created("x")


def people(**more):
    keypoints = [10, 10, 2, 20, 30, 2]
    return {"id": 1, "image_id": 1, "category_id": 1, "keypoints": keypoints, "num_keypoints": 2,
            "bbox": [0, 0, 40, 40], "iscrowd": 0, **more}  # fmt: skip


@pytest.mark.parametrize(("use_area", "precision"), [(True, 0.0), (False, 0.9)])
def test_keypoints_are_evaluated_with_sigmas_of_ones_own(use_area, precision, capsys):
    truth = coco.COCO()
    truth.dataset = {
        "images": [{"id": 1}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [people(area=2000.0 * 0.001)],
        "info": {},
    }
    truth.createIndex()
    found = truth.loadRes([people(keypoints=[10, 11, 1, 20, 31, 1], score=0.9)])
    evaluation = coco.COCOeval(truth, found, "keypoints", np.full(2, 0.05), use_area)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(precision)
    assert truth.anns[1]["area"] == 2.0


def test_parts_of_bodies_have_a_metric_of_poise():
    with pytest.raises(ArgumentError, match="CocoWholeBodyMetric"):
        coco.COCOeval(iouType="keypoints_foot")


def test_files_of_a_folder_are_listed(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.JPG", "a.jpg", ".c.jpg", "deep/d.jpg", "e.txt"):
        (tmp_path / name).touch()
    assert list(compat.scandir(tmp_path, ".jpg")) == ["a.jpg"]
    assert list(compat.scandir(tmp_path, ".jpg", case_sensitive=False)) == ["a.jpg", "b.JPG"]
    deep = list(compat.scandir(str(tmp_path), (".jpg", ".txt"), recursive=True))
    assert deep == ["a.jpg", "deep/d.jpg", "e.txt"]


def test_a_single_process_is_all_processes():
    value = torch.ones(2)
    assert compat.all_gather(value)[0] is value
    for op in ("sum", "mean", "max"):
        compat.all_reduce(value, op)
    compat.all_reduce_dict({"a": value})
    compat.broadcast(value)
    box = [3]
    compat.broadcast_object_list(box)
    assert value.tolist() == [1, 1]
    assert box == [3]
    assert compat.collect_results([1, 2, 3], 2) == [1, 2]
    assert 0 <= compat.sync_random_seed() < 2**31


def test_all_processes_share_what_they_have(tmp_path):
    # a group of one process goes through torch's own calls
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        value = torch.full((2,), 3.0)
        compat.all_reduce(value, "mean")
        assert compat.reduce_mean(value).tolist() == [3, 3]
        assert [part.tolist() for part in compat.all_gather(value)] == [[3, 3]]
        compat.broadcast(value)
        seed = [compat.sync_random_seed()]
        compat.broadcast_object_list(seed)
        assert isinstance(seed[0], int)
    finally:
        torch.distributed.destroy_process_group()


def test_pictures_are_turned_in_place_and_sizes_follow():
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    turned = compat.imflip_(picture.copy())
    np.testing.assert_array_equal(turned, picture[:, ::-1])
    assert compat.rescale_size((100, 50), (40, 30)) == (40, 20)
    assert compat.rescale_size((100, 51), 0.5, return_scale=True) == ((50, 26), 0.5)
