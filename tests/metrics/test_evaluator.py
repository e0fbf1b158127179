"""Evaluators drive metrics; results of several processes come together."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from poise.errors import DataError
from poise.metrics import EPE, BaseMetric, DumpResults, Evaluator, MultiDatasetEvaluator
from poise.registry import DATASETS, EVALUATORS, METRICS
from poise.structures import InstanceData, PoseDataSample


def pose(offset, **meta):
    sample = PoseDataSample(metainfo=meta)
    keypoints = np.zeros((1, 3, 2))
    sample.gt_instances = InstanceData(keypoints=keypoints, keypoints_visible=np.ones((1, 3)))
    sample.pred_instances = InstanceData(keypoints=keypoints + np.array([offset, 0]))
    return sample


class Count(BaseMetric):
    """How many samples, and what came with them."""

    default_prefix = "count"

    def process(self, data_batch, data_samples):
        self.results += [(data_batch, sample) for sample in data_samples]

    def compute_metrics(self, results):
        return dict(n=len(results))


def test_metrics_get_samples_as_dicts_and_their_figures_are_joined():
    evaluator = Evaluator([dict(type="EPE"), Count()])
    evaluator.dataset_meta = dict(dataset_name="x")
    assert evaluator.metrics[1].dataset_meta == dict(dataset_name="x")
    evaluator.process([pose(1), pose(3)], data_batch="batch")
    assert evaluator.metrics[1].results[0][0] == "batch"
    assert isinstance(evaluator.metrics[1].results[0][1], dict)
    assert evaluator.evaluate(2) == {"EPE": 2.0, "count/n": 2}
    assert evaluator.metrics[1].results == []


def test_one_metric_needs_no_list():
    assert len(Evaluator(EPE()).metrics) == 1
    assert len(Evaluator(dict(type="EPE")).metrics) == 1


def test_figures_of_one_name_are_refused():
    evaluator = Evaluator([EPE(), EPE()])
    evaluator.process([pose(1)])
    with pytest.raises(
        ValueError, match=r"several metrics give \['EPE'\]; set a different `prefix`"
    ):
        evaluator.evaluate(1)


@pytest.mark.parametrize("chunk", [1, 2, 10])
def test_saved_predictions_can_be_evaluated(chunk):
    samples = [pose(i) for i in range(5)]
    evaluator = Evaluator([EPE(), Count()])
    assert evaluator.offline_evaluate(samples, [1] * 5, chunk)["EPE"] == 2
    assert evaluator.offline_evaluate(iter(samples), chunk_size=chunk)["count/n"] == 5
    with pytest.raises(DataError, match="data_samples and data need the same length, got 5 and 2"):
        evaluator.offline_evaluate(samples, [1, 2])
    for count in (4, 6):  # of which a stream says nothing before its end
        with pytest.raises(DataError, match="data_samples and data need the same length"):
            evaluator.offline_evaluate(iter(samples), iter(range(count)), chunk)


INFO = dict(keypoint_info={0: dict(name="a")}, skeleton_info={}, joint_weights=[1.0], sigmas=[0.1])


@DATASETS.register_module(force=True)
class FirstToy:
    METAINFO = dict(dataset_name="first", **INFO)


@DATASETS.register_module(force=True)
class SecondToy:
    METAINFO = dict(dataset_name="second", **INFO)


def test_samples_go_to_the_metric_of_their_dataset():
    metrics = [dict(type="EPE", prefix="a"), dict(type="EPE", prefix="b")]
    kinds = [dict(type="FirstToy"), dict(type=SecondToy)]
    evaluator = MultiDatasetEvaluator(metrics, kinds)
    evaluator.dataset_meta = dict(dataset_name="first")
    assert evaluator.metrics_dict["second"].dataset_meta["num_keypoints"] == 1
    samples = [pose(2, dataset_name="first"), pose(5, dataset_name="second"), pose(4)]
    batch = dict(inputs=[1, 2, 3], data_samples=samples)
    evaluator.process(samples, batch)
    assert evaluator.evaluate(3) == {"a/EPE": 3.0, "b/EPE": 5.0}
    with pytest.raises(DataError, match="metrics and datasets need the same length"):
        MultiDatasetEvaluator(metrics, kinds[:1])
    with pytest.raises(KeyError, match="did you mean 'FirstToy'"):
        MultiDatasetEvaluator(metrics[:1], [dict(type="FirstTy")])


def test_evaluators_and_metrics_are_registered():
    assert EVALUATORS.get("Evaluator") is Evaluator
    assert EVALUATORS.get("mmpose.MultiDatasetEvaluator") is MultiDatasetEvaluator
    assert METRICS.get("EPE") is EPE


def test_predictions_can_be_dumped(tmp_path, run):
    metric = DumpResults(str(tmp_path / "out.pkl"))
    assert run(metric, [dict(a=1), dict(a=2)]) == {}
    assert pickle.loads((tmp_path / "out.pkl").read_bytes()) == [dict(a=1), dict(a=2)]
    with pytest.raises(ValueError, match="must end with .pkl"):
        DumpResults("out.json")


def test_collect_dir_is_for_the_cpu():
    with pytest.raises(ValueError, match="collect_dir goes with collect_device='cpu'"):
        Count(collect_device="gpu", collect_dir="x")


def test_an_empty_metric_warns(run):
    with pytest.warns(UserWarning, match="Count has no results"):
        assert run(Count(), []) == {"count/n": 0}


class OnDevice:
    """What a tensor is known by."""

    cpu = None

    def to(self, device):
        return f"on {device}"


def test_tensors_reach_the_figures_on_the_cpu(monkeypatch):
    seen = []
    monkeypatch.setattr(Count, "compute_metrics", lambda self, results: seen.extend(results) or {})
    metric = Count()
    metric.process([], [dict(a=[OnDevice()], b=(OnDevice(), "x"))])
    metric.evaluate(1)
    assert seen == [([], dict(a=["on cpu"], b=("on cpu", "x")))]


WORKER = """
import sys
import torch.distributed as dist
from poise.metrics import BaseMetric

class Order(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results += data_samples
    def compute_metrics(self, results):
        return dict(order=results)

rank, store, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=2)
for metric in (Order(), Order(collect_dir=folder)):
    # five samples dealt to two processes; the second repeats one
    metric.process([], [[0, 2, 4], [1, 3, 0]][rank])
    assert metric.evaluate(5) == dict(order=[0, 1, 2, 3, 4]), "wrong order"
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_results_of_two_processes_come_in_the_order_of_the_dataset(tmp_path):
    pytest.importorskip("torch")
    args = [str(tmp_path / "store"), str(tmp_path / "shared")]
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(rank), *args]) for rank in (0, 1)
    ]
    assert [worker.wait(240) for worker in workers] == [0, 0]


def test_several_metrics_of_one_dataset_all_get_its_samples_and_strangers_are_said():
    kinds = [dict(type="CocoDataset"), dict(type="CocoDataset")]
    evaluator = MultiDatasetEvaluator([EPE(prefix="a"), EPE(prefix="b")], kinds)
    with pytest.warns(UserWarning, match="takes the samples of 'aic'; it has metrics of coco"):
        evaluator.process([pose(3, dataset_name="coco"), pose(9, dataset_name="aic")])
    # said once
    evaluator.process([pose(9, dataset_name="aic")])
    assert evaluator.evaluate(3) == {"a/EPE": 3, "b/EPE": 3}
