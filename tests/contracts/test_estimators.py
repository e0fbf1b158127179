"""What every registered estimator keeps: three modes, gradients, one exported program."""

import numpy as np
import pytest
import torch

from poise.codecs import MSRAHeatmap, SimCC3DLabel
from poise.errors import PoiseError
from poise.models.backbones import TCN, ResNet
from poise.models.heads import (
    AssociativeEmbeddingHead,
    HeatmapHead,
    RTMW3DHead,
    TemporalRegressionHead,
)
from poise.registry import MODELS
from poise.registry.tables.models import TABLE
from poise.structures import InstanceData, PixelData, PoseDataSample

K, SIZE, MAP = 5, (64, 64), (16, 16)
GAU = {"hidden_dims": 16, "s": 8, "expansion_factor": 2, "dropout_rate": 0.0, "drop_path": 0.0,
       "act_fn": "SiLU", "use_rel_bias": False, "pos_enc": False}  # fmt: skip


class Root:
    """Stands for a lifting codec."""

    support_batch_decoding = False

    def decode(self, coords, *known):
        return coords, np.ones(coords.shape[:-1], dtype=np.float32)


def resnet(**more):
    return ResNet(18, base_channels=8, stem_channels=8, **more)


def parts(name):
    """Backbone and head of an estimator, and a picture or sequence for it."""
    if name == "PoseLifter":
        head = TemporalRegressionHead(16, K, decoder=Root())
        return TCN(2 * K, 16, 1, (1, 1)), head, (2, 2 * K, 1)
    if name == "BottomupPoseEstimator":
        head = AssociativeEmbeddingHead(64, K, deconv_out_channels=(8,), deconv_kernel_sizes=(4,))
        return resnet(), head, (2, 3, 64, 64)
    if name == "TopdownPoseEstimator3D":
        codec = SimCC3DLabel((*SIZE, 32))
        head = RTMW3DHead(64, K, (*SIZE, 32), (2, 2), gau_cfg=GAU, decoder=codec)
        return resnet(out_indices=(2, 3)), head, (2, 3, 64, 64)
    head = HeatmapHead(64, K, (8, 8, 8), (4, 4, 4), decoder=MSRAHeatmap(SIZE, MAP, sigma=1.0))
    return resnet(), head, (2, 3, 64, 64)


#: DWPoseDistiller is tested in tests/models/distillers
NAMES = ["BottomupPoseEstimator", "PoseLifter", "TopdownPoseEstimator", "TopdownPoseEstimator3D"]


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def case(name):
    torch.manual_seed(0)
    backbone, head, shape = parts(name)
    model = MODELS.build({"type": name, "backbone": backbone, "head": head})
    return model.eval(), torch.randn(shape, generator=torch.Generator().manual_seed(1))


def flat(out):
    return [out] if isinstance(out, torch.Tensor) else [t for part in out for t in flat(part)]


def test_the_contract_covers_every_registered_estimator():
    registered = {
        entry
        for module, entries in TABLE["mmpose"].items()
        if module.startswith("poise.models.estimators.")
        for entry in entries.split()
    }
    # it takes episodes with a support, and has tests of its own
    few_shot = {"PoseAnythingModel", "TransformerPoseTwoStage=PoseAnythingModel"}
    assert set(NAMES) | few_shot == registered


def test_tensors_are_the_same_twice_and_gradients_reach_all(case, close):
    model, inputs = case
    with torch.no_grad():
        first, second = (flat(model(inputs, None, mode="tensor")) for _ in range(2))
    assert close(first, second)
    sum(o.square().mean() for o in flat(model.train()(inputs, None, mode="tensor"))).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_unknown_modes_and_missing_samples_are_refused(case):
    model, inputs = case
    with pytest.raises(PoiseError, match="mode"):
        model(inputs, None, mode="draw")
    with pytest.raises(PoiseError, match="sample"):
        model(inputs, None, mode="predict")


def test_predictions_land_in_the_samples(name):
    if name == "BottomupPoseEstimator":
        pytest.skip("one-stage heads need a codec of their own; see tests/models/heads")
    torch.manual_seed(0)
    backbone, head, shape = parts(name)
    model = MODELS.build({"type": name, "backbone": backbone, "head": head}).eval()
    samples = [PoseDataSample() for _ in range(2)]
    for sample in samples:
        sample.set_metainfo(
            {
                "input_size": SIZE,
                "input_center": np.array([100.0, 50.0]),
                "input_scale": np.array([96.0, 96.0]),
                "ori_shape": (200, 300),
            }
        )
        sample.gt_instances = InstanceData(
            bboxes=np.zeros((1, 4)), bbox_scores=np.ones(1), root_z=np.array([5.0])
        )
        sample.gt_fields = PixelData()
    with torch.no_grad():
        out = model(torch.randn(shape), samples, mode="predict")
    dims = 2 if name == "TopdownPoseEstimator" else 3
    assert [s.pred_instances.keypoints.shape for s in out] == [(1, K, dims)] * 2
    assert all(np.isfinite(s.pred_instances.keypoints).all() for s in out)


@pytest.mark.slow
def test_an_exported_program_gives_the_same(case):
    model, inputs = case
    with torch.no_grad():
        want = flat(model(inputs, None, mode="tensor"))
        program = torch.export.export(model, (inputs, None), {"mode": "tensor"}).module()
        have = flat(program(inputs, None, mode="tensor"))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(have, want, strict=True))
