"""Bottom-up head whose tag maps say which keypoints belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from poise._options import options_of
from poise.errors import DataError
from poise.models.flip import aggregate_heatmaps, flip_heatmaps
from poise.models.heads.base import per_sample
from poise.models.heads.heatmap import HeatmapHead
from poise.models.heads.targets import heatmap_mask, stacked_fields
from poise.registry import MODELS
from poise.structures import InstanceData, PixelData

__all__ = ["AssociativeEmbeddingHead"]

TAG_LOSS: dict[str, Any] = {"type": "AssociativeEmbeddingLoss"}
KEYPOINT_LOSS: dict[str, Any] = {"type": "KeypointMSELoss"}


@MODELS.register_module()
class AssociativeEmbeddingHead(HeatmapHead):
    """Heatmaps and tag maps; keypoints with like tags are one person.

    Newell 2017, "Associative Embedding", arXiv 1611.05424.

    Args:
        in_channels: channels of the last feature map.
        num_keypoints: K.
        tag_dim: numbers of a tag.
        tag_per_keypoint: every keypoint has tag maps of its own.
        keypoint_loss: config or module.
        tag_loss: config or module.
        decoder: codec or its config.
        **options: layers, as of `HeatmapHead`.
    """

    @options_of(HeatmapHead, positional=True, without=("out_channels", "loss"))
    def __init__(
        self,
        in_channels: int | Sequence[int],
        num_keypoints: int,
        tag_dim: int = 1,
        tag_per_keypoint: bool = True,
        *,
        keypoint_loss: Any = KEYPOINT_LOSS,
        tag_loss: Any = TAG_LOSS,
        decoder: Any = None,
        init_cfg: Any = None,
        **options: Any,
    ) -> None:
        tags = tag_dim * (num_keypoints if tag_per_keypoint else 1)
        losses = {"keypoint_loss": keypoint_loss, "tag_loss": tag_loss}
        options |= {"loss": {"type": "CombinedLoss", "losses": losses}}
        super().__init__(
            in_channels, num_keypoints + tags, decoder=decoder, init_cfg=init_cfg, **options
        )
        self.num_keypoints = num_keypoints
        self.tag_dim = tag_dim
        self.tag_per_keypoint = tag_per_keypoint

    def forward(  # type: ignore[override]  # two kinds of maps; the base class knows one
        self, feats: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Heatmaps (B, K, H, W) and tag maps (B, L * K or L, H, W)."""
        maps = super().forward(feats)
        return maps[:, : self.num_keypoints], maps[:, self.num_keypoints :]

    def _flip_tags(
        self, tags: Tensor, flip_indices: Sequence[int], shift_heatmap: bool = True
    ) -> Tensor:
        """Mirror tag maps; values stay, since they mean nothing by themselves."""
        order = None
        if self.tag_per_keypoint:
            # channel c is tag dimension c // K of keypoint c % K
            order = [i * self.num_keypoints + k for i in range(self.tag_dim) for k in flip_indices]
        return flip_heatmaps(tags, order, shift_heatmap=shift_heatmap)

    def predict(
        self, feats: Any, batch_data_samples: Sequence[Any], test_cfg: Mapping[str, Any] = {}
    ) -> Any:
        """Predict the people of each picture.

        Args:
            feats: features; with `flip_test` a list of two, with `multiscale_test` a list of
                one such for each scale.
            batch_data_samples: B samples.
            test_cfg: `flip_test`, `shift_heatmap`, `multiscale_test`, `align_corners`,
                `restore_heatmap_size` (maps as large as the picture), `output_heatmaps`.

        Returns:
            B `InstanceData`; with `output_heatmaps` also B `PixelData` with `heatmaps`, `tags`.
        """
        scales = feats if test_cfg.get("multiscale_test", False) else [feats]
        align_corners = test_cfg.get("align_corners", False)
        size = None
        if test_cfg.get("restore_heatmap_size", False):
            size = self._picture_size(batch_data_samples)
        outputs = [self._both_sides(scale, batch_data_samples, test_cfg) for scale in scales]
        heatmaps = aggregate_heatmaps(
            [
                aggregate_heatmaps([maps for maps, _ in sides], size, align_corners)
                for sides in outputs
            ],
            None,
            align_corners,
        )
        # tags of other scales do not compare with these
        tags = aggregate_heatmaps([t for _, t in outputs[0]], size, align_corners, "concat")
        preds = self.decode((heatmaps, tags))
        if test_cfg.get("output_heatmaps", False):
            maps = zip(heatmaps.detach(), tags.detach(), strict=True)
            return preds, [PixelData(heatmaps=h, tags=t) for h, t in maps]
        return preds

    def _both_sides(
        self, feats: Any, batch_data_samples: Sequence[Any], test_cfg: Mapping[str, Any]
    ) -> list[tuple[Tensor, Tensor]]:
        """Heatmaps and tags of the picture and, with `flip_test`, of its mirror image."""
        if not test_cfg.get("flip_test", False):
            return [self.forward(feats)]
        straight, mirrored = feats
        heatmaps, tags = self.forward(mirrored)
        shift = test_cfg.get("shift_heatmap", False)
        order = batch_data_samples[0].metainfo["flip_indices"]
        back = (
            flip_heatmaps(heatmaps, order, shift_heatmap=shift),
            self._flip_tags(tags, order, shift),
        )
        return [self.forward(straight), back]

    @staticmethod
    def _picture_size(batch_data_samples: Sequence[Any]) -> tuple[int, int]:
        """(width, height) of all pictures.

        Raises:
            DataError: they differ.
        """
        shapes = {tuple(sample.metainfo["img_shape"]) for sample in batch_data_samples}
        if len(shapes) > 1:
            raise DataError(
                "restore_heatmap_size needs pictures of one size in a batch, got (height, "
                f"width) {sorted(shapes)}; use a batch size of 1"
            )
        height, width = shapes.pop()
        return width, height

    def decode(self, batch_outputs: tuple[Tensor, Tensor]) -> list[InstanceData]:
        """People of heatmaps and tag maps.

        Returns:
            B `InstanceData` with `keypoints`, `keypoint_scores`, `bbox_scores`.

        Raises:
            ConfigError: the head was built without a codec.
        """
        self.require_decoder()
        if self.decoder.support_batch_decoding:
            maps = [output.detach() for output in batch_outputs]
            decoded: Iterable[Any] = zip(*self.decoder.batch_decode(*maps), strict=True)
        else:
            decoded = (self.decoder.decode(*sample) for sample in per_sample(batch_outputs))
        return [
            InstanceData(bbox_scores=score, keypoints=keypoints, keypoint_scores=scores)
            for keypoints, scores, score in decoded
        ]

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        train_cfg: Mapping[str, Any] = {},
    ) -> dict[str, Tensor]:
        """`loss_kpt`, `loss_pull` and `loss_push`.

        Everybody is on the same heatmaps, so keypoints have no weights in them; the mask has.

        Raises:
            DataError: the samples do not say where the keypoints are.
        """
        own = [sample.gt_instance_labels for sample in batch_data_samples]
        if not all("keypoint_indices" in label for label in own):
            raise DataError(
                "AssociativeEmbeddingHead learns tags at `keypoint_indices`, which the samples "
                "lack; set PackPoseInputs(extra_mapping_labels={'keypoint_indices': "
                "'keypoint_indices'}) in the pipeline"
            )
        heatmaps, tags = self.forward(feats)
        if not self.tag_per_keypoint:
            tags = tags.repeat(1, self.num_keypoints, 1, 1)
        targets = stacked_fields(batch_data_samples)
        self.check_targets(heatmaps, targets, batch_data_samples)
        pull, push = self.loss_module.tag_loss(tags, [label.keypoint_indices for label in own])
        loss = self.loss_module.keypoint_loss(
            heatmaps, targets, None, heatmap_mask(batch_data_samples)
        )
        return {"loss_kpt": loss, "loss_pull": pull, "loss_push": push}
