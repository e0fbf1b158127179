"""Heads that are transformers: the frame of DETR-like heads, and ED-Pose's."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise._arrays import as_numpy
from poise.errors import ConfigError, DataError
from poise.layers import Linear
from poise.layers.deform_attention import MultiScaleDeformableAttention, map_sizes, split_maps
from poise.models.heads.base import BaseHead
from poise.models.heads.defaults import LINEAR_INIT
from poise.models.heads.edpose.decoder import EDPoseDecoder
from poise.models.heads.edpose.encoder import (
    DeformableEncoder,
    PositionEmbeddingSineHW,
    inverse_sigmoid,
    pixel_centres,
)
from poise.models.heads.edpose.out_head import EDPoseOutHead
from poise.registry import KEYPOINT_CODECS, MODELS
from poise.structures import InstanceData

__all__ = ["EDPoseHead", "TransformerHead"]

#: side of a proposal on the finest map, as a share of the picture; doubles with each level
PROPOSAL_SIZE = 0.05
#: proposals with a number beyond these are left out
PROPOSAL_RANGE = (0.01, 0.99)


@MODELS.register_module()
class TransformerHead(BaseHead):
    """Encoder, decoder and output head, one after another.

    A subclass writes `forward_encoder`, `forward_decoder` and `forward_out_head`; each returns
    the keyword arguments of the next one.

    Args:
        encoder: arguments of the encoder.
        decoder: arguments of the decoder.
        out_head: arguments of the output head.
        positional_encoding: arguments of the position encoding.
        num_queries: queries of the decoder.
        loss: config of the loss.
    """

    def __init__(
        self,
        encoder: Mapping[str, Any] | None = None,
        decoder: Mapping[str, Any] | None = None,
        out_head: Mapping[str, Any] | None = None,
        positional_encoding: Mapping[str, Any] | None = None,
        num_queries: int = 100,
        loss: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.encoder_cfg = encoder
        self.decoder_cfg = decoder
        self.out_head_cfg = out_head
        self.positional_encoding_cfg = positional_encoding
        self.num_queries = num_queries

    def forward(
        self, feats: Sequence[Tensor], batch_data_samples: Sequence[Any] | None = None
    ) -> Any:
        """Outputs of feature maps (B, C, H, W)."""
        encoded = self.forward_encoder(feats, batch_data_samples)
        decoded = self.forward_decoder(**encoded)
        return self.forward_out_head(batch_data_samples, **decoded)

    def forward_encoder(self, feats: Any, batch_data_samples: Any = None) -> dict[str, Any]:
        """Arguments of the decoder."""
        raise NotImplementedError(f"{type(self).__name__} does not define `forward_encoder`")

    def forward_decoder(self, **kwargs: Any) -> dict[str, Any]:
        """Arguments of the output head."""
        raise NotImplementedError(f"{type(self).__name__} does not define `forward_decoder`")

    def forward_out_head(self, batch_data_samples: Any, **kwargs: Any) -> Any:
        """Outputs."""
        raise NotImplementedError(f"{type(self).__name__} does not define `forward_out_head`")

    @staticmethod
    def get_valid_ratio(mask: Tensor) -> Tensor:
        """Share (B, 2) along x and y of masks (B, H, W) that is picture (False)."""
        inside = ~mask
        columns = inside[:, 0, :].float().mean(dim=1)
        rows = inside[:, :, 0].float().mean(dim=1)
        return torch.stack([columns, rows], dim=-1)


@MODELS.register_module()
class EDPoseHead(TransformerHead):
    """ED-Pose; for inference, as in MMPose, which has no training code for it.

    Yang 2023, arXiv 2302.01593.

    Args:
        num_queries: people that are proposed.
        num_feature_levels: number of maps.
        num_keypoints: K.
        as_two_stage: propose people by the encoder.
        encoder: arguments of the encoder.
        decoder: arguments of `EDPoseDecoder`.
        out_head: arguments of `EDPoseOutHead`.
        positional_encoding: arguments of `PositionEmbeddingSineHW`.
        data_decoder: codec or its config.
        denosing_cfg: settings of the denoising of training.
        dec_pred_class_embed_share: the encoder uses the first class layer, with the next one.
        dec_pred_bbox_embed_share: the encoder uses the first box layer, with the one above.
        refine_queries_num: denoising queries of training.
        two_stage_keep_all_tokens: not used outside of training.
    """

    default_init_cfg = LINEAR_INIT
    instead = "train RTMO or YOLOX-Pose for one-stage pose estimation"
    decoder: Any

    def __init__(
        self,
        num_queries: int = 100,
        num_feature_levels: int = 4,
        num_keypoints: int = 17,
        as_two_stage: bool = False,
        encoder: Mapping[str, Any] | None = None,
        decoder: Mapping[str, Any] | None = None,
        out_head: Mapping[str, Any] | None = None,
        positional_encoding: Mapping[str, Any] | None = None,
        data_decoder: Any = None,
        denosing_cfg: Mapping[str, Any] | None = None,
        dec_pred_class_embed_share: bool = False,
        dec_pred_bbox_embed_share: bool = False,
        refine_queries_num: int = 100,
        two_stage_keep_all_tokens: bool = False,
    ) -> None:
        super().__init__(encoder, decoder, out_head, positional_encoding, num_queries)
        parts = self._given(
            encoder=encoder,
            decoder=decoder,
            out_head=out_head,
            positional_encoding=positional_encoding,
            denosing_cfg=denosing_cfg,
        )
        self.as_two_stage = as_two_stage
        self.num_feature_levels = num_feature_levels
        self.num_keypoints = num_keypoints
        self.num_group = parts["decoder"]["num_group"]
        if num_queries < self.num_group:
            raise ConfigError(
                f"EDPoseHead keeps num_group={self.num_group} people of num_queries={num_queries}, "
                "which are fewer"
            )
        self.denosing_cfg = denosing_cfg
        self.data_decoder = None if data_decoder is None else KEYPOINT_CODECS.build(data_decoder)
        self.positional_encoding = PositionEmbeddingSineHW(**parts["positional_encoding"])
        self.encoder = DeformableEncoder(**parts["encoder"])
        self.decoder = EDPoseDecoder(num_keypoints=num_keypoints, **parts["decoder"])
        self.out_head = EDPoseOutHead(
            num_keypoints=num_keypoints,
            as_two_stage=as_two_stage,
            refine_queries_num=refine_queries_num,
            **parts["out_head"],
            **parts["decoder"],
        )
        width = self.embed_dims = self.encoder.embed_dims
        self.label_enc = nn.Embedding(parts["denosing_cfg"]["dn_labelbook_size"] + 1, width)
        if not as_two_stage:
            self.query_embedding = nn.Embedding(num_queries, width)
            self.refpoint_embedding = nn.Embedding(num_queries, 4)
        self.level_embed = nn.Parameter(torch.zeros(num_feature_levels, width))
        for name in ("bbox_embed", "pose_embed", "pose_hw_embed", "class_embed"):
            setattr(self.decoder, name, getattr(self.out_head, name))
        if as_two_stage:
            self.memory_trans_fc = Linear(width, width)
            self.memory_trans_norm = nn.LayerNorm(width)
            shared = dec_pred_class_embed_share and dec_pred_bbox_embed_share
            own = (lambda layer: layer) if shared else copy.deepcopy
            self.enc_out_bbox_embed = own(self.out_head.bbox_embed[0])
            self.enc_out_class_embed = own(self.out_head.class_embed[0])

    def init_weights(self) -> None:
        """Xavier for encoder and decoder; deformable attention starts by itself."""
        super().init_weights()
        for part in (self.encoder, self.decoder):
            for weight in part.parameters():
                if weight.dim() > 1:
                    nn.init.xavier_uniform_(weight)
        for module in self.modules():
            if isinstance(module, MultiScaleDeformableAttention):
                module.init_weights()
        if self.as_two_stage:
            nn.init.xavier_uniform_(self.memory_trans_fc.weight)
        nn.init.normal_(self.level_embed)

    def forward_encoder(
        self, feats: Sequence[Tensor], batch_data_samples: Sequence[Any] | None = None
    ) -> dict[str, Any]:
        """Encoded pixels (B, S, C) of maps, and what the decoder must know of the maps.

        Args:
            feats: maps (B, C, H, W), fine to coarse.
            batch_data_samples: their `img_shape` says what of the batch is picture; None for
                all.
        """
        masks = self._masks(feats, batch_data_samples)
        positions = [
            self.positional_encoding(mask).flatten(2).transpose(1, 2).to(level.dtype) + level
            for mask, level in zip(masks, self.level_embed, strict=True)
        ]
        shapes = torch.stack([torch._shape_as_tensor(f)[-2:] for f in feats]).to(feats[0].device)
        ratios = torch.stack([self.get_valid_ratio(mask) for mask in masks], dim=1).to(feats[0])
        mask = torch.cat([m.flatten(1) for m in masks], dim=1)
        memory = self.encoder(
            torch.cat([f.flatten(2).transpose(1, 2) for f in feats], dim=1),
            torch.cat(positions, dim=1),
            key_padding_mask=mask,
            spatial_shapes=shapes,
            valid_ratios=ratios,
        )
        return {
            "memory": memory,
            "memory_mask": mask,
            "spatial_shapes": shapes,
            "valid_ratios": ratios,
        }

    @staticmethod
    def _masks(feats: Sequence[Tensor], batch_data_samples: Sequence[Any] | None) -> list[Tensor]:
        """For each map (B, H, W), True outside of the picture."""
        if batch_data_samples is None:
            return [torch.zeros_like(f[:, 0], dtype=torch.bool) for f in feats]
        height, width = batch_data_samples[0].metainfo["batch_input_shape"]
        outside = feats[0].new_ones(len(batch_data_samples), height, width)
        for own, sample in zip(outside, batch_data_samples, strict=True):
            rows, columns = sample.metainfo["img_shape"][:2]
            own[:rows, :columns] = 0
        return [F.interpolate(outside[None], size=f.shape[-2:]).bool()[0] for f in feats]

    @staticmethod
    def _given(**parts: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
        """The settings of all parts.

        Raises:
            ConfigError: a part without settings.
        """
        missing = [name for name, cfg in parts.items() if cfg is None]
        if missing:
            raise ConfigError(f"EDPoseHead needs settings for {', '.join(missing)}; got None")
        return {name: cfg for name, cfg in parts.items() if cfg is not None}

    def forward_decoder(  # type: ignore[override]  # takes what `forward_encoder` returns
        self, memory: Tensor, memory_mask: Tensor, spatial_shapes: Tensor, valid_ratios: Tensor
    ) -> dict[str, Any]:
        """Queries after each decoder layer and boxes before each."""
        if self.as_two_stage:
            query, boxes = self._propose(memory, memory_mask, spatial_shapes)
        else:
            batch = len(memory)
            query = self.query_embedding.weight.expand(batch, -1, -1)
            boxes = self.refpoint_embedding.weight.expand(batch, -1, -1).sigmoid()
        states, references = self.decoder(
            query,
            boxes,
            valid_ratios,
            self._group_mask(memory.device),
            value=memory,
            key_padding_mask=memory_mask,
            spatial_shapes=spatial_shapes,
        )
        return {"hidden_states": states, "references": references}

    def _group_mask(self, device: torch.device) -> Tensor:
        """Where a query may not look: other people's keypoints, and at people from keypoints."""
        size = self.num_keypoints + 1
        index = torch.arange(self.num_group * size, device=device)
        person, is_person = torch.div(index, size, rounding_mode="floor"), index % size == 0
        same = person[:, None] == person
        return ~(same | (is_person[:, None] & is_person))

    def _propose(
        self, memory: Tensor, memory_mask: Tensor, spatial_shapes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Best pixels of the encoder: queries (B, Q, C) and boxes (B, Q, 4), detached."""
        memory, proposals = self.gen_encoder_output_proposals(memory, memory_mask, spatial_shapes)
        scores = self.enc_out_class_embed(memory).amax(dim=-1)
        if not torch.jit.is_tracing() and scores.shape[1] < self.num_queries:
            raise DataError(
                f"EDPoseHead chooses num_queries={self.num_queries} people among the pixels of its "
                f"maps, but pictures of this size have {scores.shape[1]}; give larger ones"
            )
        boxes = self.enc_out_bbox_embed(memory) + proposals
        best = scores.topk(self.num_queries, dim=1).indices[..., None]
        boxes = boxes.gather(1, best.expand(-1, -1, 4)).detach().sigmoid()
        return memory.gather(1, best.expand(-1, -1, self.embed_dims)).detach(), boxes

    def gen_encoder_output_proposals(
        self, memory: Tensor, memory_mask: Tensor, spatial_shapes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """A proposal for each pixel: a box around it.

        Args:
            memory: (B, S, C) encoded pixels.
            memory_mask: (B, S), True outside of the picture.
            spatial_shapes: (L, 2) height and width of the maps.

        Returns:
            Pixels (B, S, C) ready to be scored, and logits (B, S, 4) of their boxes, infinite
            where there is no picture.
        """
        proposals = []
        sizes = map_sizes(spatial_shapes)
        for level, (mask, (rows, columns)) in enumerate(
            zip(split_maps(memory_mask, sizes), sizes, strict=True)
        ):
            inside = ~mask.unflatten(1, (rows, columns))
            size = torch.stack([inside[:, 0].sum(dim=1), inside[:, :, 0].sum(dim=1)], dim=-1)
            centers = pixel_centres(rows, columns, memory) / size[:, None]
            side = torch.full_like(centers, PROPOSAL_SIZE * 2.0**level)
            proposals.append(torch.cat([centers, side], dim=-1))
        boxes = torch.cat(proposals, dim=1)
        low, high = PROPOSAL_RANGE
        out = memory_mask[..., None] | ~((boxes > low) & (boxes < high)).all(-1, keepdim=True)
        logits = inverse_sigmoid(boxes).masked_fill(out, float("inf"))
        scored = self.memory_trans_norm(self.memory_trans_fc(memory.masked_fill(out, 0.0)))
        return scored, logits

    def forward_out_head(  # type: ignore[override]  # takes what `forward_decoder` returns
        self,
        batch_data_samples: Sequence[Any] | None,
        hidden_states: Sequence[Tensor],
        references: Sequence[Tensor],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, boxes and keypoints; see `EDPoseOutHead.forward`."""
        return self.out_head(hidden_states, references)

    def predict(
        self, feats: Any, batch_data_samples: Sequence[Any], test_cfg: Mapping[str, Any] = {}
    ) -> list[InstanceData]:
        """Predict the people of each picture.

        Raises:
            ConfigError: `flip_test`, which ED-Pose does not know.
        """
        self.refuse_flip_test(test_cfg)
        logits, boxes, keypoints = self.forward(feats, batch_data_samples)
        sizes = np.array([sample.metainfo["input_size"] for sample in batch_data_samples])
        return self.decode(sizes, logits, boxes, keypoints)

    def decode(  # type: ignore[override]  # MMPose's signature for this head
        self,
        input_shapes: np.ndarray,
        pred_logits: Tensor,
        pred_boxes: Tensor,
        pred_keypoints: Tensor,
    ) -> list[InstanceData]:
        """People of the outputs, by the codec.

        Args:
            input_shapes: (B, 2) width and height of the input in pixels.
            pred_logits: (B, N, classes).
            pred_boxes: (B, N, 4).
            pred_keypoints: (B, N, 3 * K).

        Raises:
            ConfigError: the head was built without a codec.
        """
        if self.data_decoder is None:
            raise ConfigError("EDPoseHead has no data_decoder; give it one to predict")
        outputs = (pred_logits.sigmoid(), pred_boxes, pred_keypoints)
        preds = []
        for parts in zip(input_shapes, *map(as_numpy, outputs), strict=True):
            boxes, keypoints, scores = self.data_decoder.decode(*parts)
            preds.append(InstanceData(keypoints=keypoints, keypoint_scores=scores, bboxes=boxes))
        return preds
