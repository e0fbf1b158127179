"""Estimator of keypoints that labelled pictures show: no training for a new category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from poise.errors import ArgumentError, ConfigError, one_of
from poise.models.base_model import BaseModel
from poise.models.estimators.base import MODES
from poise.models.estimators.outputs import to_image_space
from poise.models.layout import PictureNetwork
from poise.registry import MODELS
from poise.structures import InstanceData

__all__ = ["PoseAnythingModel"]

#: what pictures of the authors' pipeline are normalised with
_PREPROCESSOR = {
    "type": "PoseDataPreprocessor",
    "mean": (123.675, 116.28, 103.53),
    "std": (58.395, 57.12, 57.375),
    "bgr_to_rgb": True,
}
#: backbones of the authors' program that are fetched from elsewhere
_FOREIGN = ("dino", "resnet")

Links = Sequence[Sequence[int]]


class Shown(NamedTuple):
    """What labelled pictures say about keypoints.

    Attributes:
        tokens: (1, K, C).
        mask: (1, K, 1), 1 for keypoints that all pictures show.
        links: pairs of indices.
    """

    tokens: Tensor
    mask: Tensor
    links: Links


@MODELS.register_module(name=["PoseAnythingModel", "TransformerPoseTwoStage"])
class PoseAnythingModel(PictureNetwork, BaseModel):
    """Keypoints of any category, shown in labelled pictures (Hirschorn 2023, arXiv 2311.17891).

    After `set_support` it is an estimator of single objects in crops like any other. Without it
    each sample brings its own labelled pictures, as training and evaluation on MP-100 want it:
    `inputs` are then a list of batches, the crops and those of each shot; samples have
    `support_heatmaps` (S, K, h, w), `support_weights` (S, K, 1) and in their metainfo `skeleton`.

    Args:
        keypoint_head: such as `PoseHead`.
        encoder_config: the backbone, which gives one map.
        pretrained: a path with ".pth" is read by `init_weights`; other texts only name a size.
        train_cfg, test_cfg: kept.
        data_preprocessor: as of other estimators; None normalises as the authors do.

    Raises:
        ConfigError: a backbone that would be fetched from elsewhere.
    """

    #: schema that replaces the samples' when the model predicts; there is none
    metainfo = None

    backbone: Any
    keypoint_head: Any

    def __init__(
        self,
        keypoint_head: Any,
        encoder_config: Any,
        pretrained: str | bool | None = False,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        data_preprocessor: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor or _PREPROCESSOR, init_cfg)
        start = pretrained or ""
        if any(name in str(start) for name in _FOREIGN):
            raise ConfigError(
                f"PoseAnythingModel: pretrained='{start}' would fetch a backbone; Poise has those "
                "with SwinTransformerV2 (pretrained='swinv2_base', or a .pth file of one)"
            )
        self.backbone = MODELS.build(encoder_config)
        if ".pth" in str(start):
            self.backbone.init_cfg = {"type": "Pretrained", "checkpoint": start}
        self.keypoint_head = MODELS.build(keypoint_head)
        self.train_cfg, self.test_cfg = train_cfg or {}, test_cfg or {}
        self._shown: Shown | None = None

    @property
    def head(self) -> nn.Module:
        """The head, by the name that it has in other estimators."""
        head: nn.Module = self.keypoint_head
        return head

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of crops."""
        height, width = self.backbone.img_size
        return width, height

    # ------------------------------------------------------------------ support

    @property
    def has_support(self) -> bool:
        """Whether labelled pictures said what to look for."""
        return self._shown is not None

    def set_support(
        self, pictures: Sequence[Tensor], heatmaps: Tensor, weights: Tensor, links: Links
    ) -> None:
        """Say by labelled pictures what to look for.

        Args:
            pictures: S crops (3, H, W), as the data preprocessor takes them.
            heatmaps: (S, K, h, w), where their keypoints are.
            weights: (S, K), 0 for keypoints that a picture does not show.
            links: pairs of indices.
        """
        device = self.data_preprocessor.device
        batch = self.data_preprocessor({"inputs": torch.stack(list(pictures))}, False)["inputs"]
        weights = weights.to(device)[..., None]
        mask = weights.prod(dim=0, keepdim=True)
        maps = self.extract_feat(batch)
        each = [m[None] for m in maps], [h[None] for h in heatmaps.to(device)]
        with torch.no_grad():
            tokens = self.keypoint_head.describe(*each, mask)
        self._shown = Shown(tokens.detach(), mask, links)

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, h, w)."""
        maps = self.backbone(self.laid_out(inputs))
        return maps[-1] if isinstance(maps, tuple) else maps

    # ------------------------------------------------------------------ forward

    def forward(
        self, inputs: Any, data_samples: Sequence[Any] | None = None, mode: str = "tensor"
    ) -> Any:
        """Run the model.

        Args:
            inputs: crops (B, 3, H, W), after `set_support`; or a list of the crops and of the
                crops of each shot.
            data_samples: B samples; with `set_support` not needed for "tensor".
            mode: "tensor" gives what `PoseHead.locate` gives, "predict" the samples with
                `pred_instances`, "loss" a dict of losses.

        Raises:
            ConfigError: another mode, crops alone and no support, a flip test, or covariances.
            ArgumentError: no samples where they are needed.
        """
        one_of(mode, MODES, "mode")
        episode = isinstance(inputs, (list, tuple))
        if data_samples is None and (episode or mode != "tensor"):
            raise ArgumentError(f"PoseAnythingModel: mode='{mode}' needs `data_samples`")
        samples = data_samples or ()
        outputs, mask = self._of_episodes(inputs, samples) if episode else self._of_shown(inputs)
        if mode == "tensor":
            return outputs
        if mode == "predict":
            self.keypoint_head.refuse_flip_test(self.test_cfg)
            if self.test_cfg.get("output_covariances", False):
                self.keypoint_head.require_covariances()
            return self._predicted(outputs[0][-1], mask, samples)
        return self._losses(outputs, mask, samples)

    def _of_shown(self, inputs: Tensor) -> tuple[Any, Tensor]:
        """What the head finds, and which keypoints (B, K, 1) were shown."""
        if self._shown is None:
            raise ConfigError(
                "PoseAnythingModel looks for keypoints that labelled pictures show, and none were "
                "given: Inferencer(..., support='labelled.json'), `poise predict --support "
                "labelled.json`, or model.set_support(...)"
            )
        tokens, mask, links = self._shown
        count = len(inputs)
        tokens, mask = (x.to(inputs.device).expand(count, -1, -1) for x in (tokens, mask))
        feats = self.extract_feat(inputs)
        return self.keypoint_head.locate(feats, tokens, mask, [links] * count), mask

    def _of_episodes(self, inputs: Sequence[Tensor], samples: Sequence[Any]) -> tuple[Any, Tensor]:
        """The same of samples that bring their labelled pictures."""
        queries, *shots = (self.extract_feat(batch) for batch in inputs)
        heatmaps = torch.stack([sample.support_heatmaps for sample in samples], dim=1)
        weights = torch.stack([sample.support_weights for sample in samples], dim=1)
        mask = weights.prod(dim=0)
        links = [sample.metainfo["skeleton"] for sample in samples]
        return self.keypoint_head(queries, shots, list(heatmaps), mask, links), mask

    @staticmethod
    def _predicted(points: Tensor, mask: Tensor, samples: Sequence[Any]) -> Sequence[Any]:
        """Samples with points (B, K, 2), shares of the crop, in image space."""
        shares, shown = points.detach().cpu().numpy(), mask.squeeze(-1).cpu().numpy()
        for sample, own, scores in zip(samples, shares, shown, strict=True):
            info = sample.metainfo
            keypoints = to_image_space(own * np.asarray(info["input_size"]), info)
            found = InstanceData(keypoints=keypoints[None], keypoint_scores=scores[None])
            found.bboxes = sample.gt_instances.bboxes
            found.bbox_scores = sample.gt_instances.bbox_scores
            sample.pred_instances = found
        return samples

    def _losses(self, outputs: Any, mask: Tensor, samples: Sequence[Any]) -> dict[str, Tensor]:
        """Losses and accuracy of a batch; targets are of the crops, not of the shots."""
        weights = torch.stack([s.gt_instance_labels.keypoint_weights for s in samples])
        weights = weights.flatten(1)[..., None] * mask
        heatmaps = torch.stack([s.gt_fields.heatmaps for s in samples])
        places = np.stack([s.gt_instances.transformed_keypoints[0] for s in samples])
        target = torch.as_tensor(places, device=mask.device, dtype=mask.dtype)
        sizes = torch.tensor(self.input_size, device=mask.device).expand(len(target), 1, 2)
        losses = self.keypoint_head.get_loss(*outputs, target, heatmaps, weights, sizes)
        return losses | self.keypoint_head.get_accuracy(outputs[0][-1], target, weights, sizes)
