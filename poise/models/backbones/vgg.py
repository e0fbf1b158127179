"""VGG (Simonyan 2015, arXiv 1409.1556)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.errors import ConfigError, UnknownNameError
from poise.layers import ConvModule, MaxPool2d
from poise.models.backbones.base import (
    KAIMING_LINEAR_INIT,
    BaseBackbone,
    check_entries,
    check_frozen_stages,
    check_out_indices,
    freeze,
)
from poise.registry import MODELS

__all__ = ["VGG"]

Config = Mapping[str, Any]

HIDDEN = 4096


@MODELS.register_module()
class VGG(BaseBackbone):
    """Stages of 3 x 3 convolutions: (B, 3, H, W) -> maps at strides 2 to 32.

    Args:
        depth: 11, 13, 16 or 19.
        num_classes: classes of the classifier after it; without one if not positive.
        num_stages: 1 to 5.
        dilations: of each stage.
        out_indices: stages whose maps are returned, from 0; None takes the last.
        frozen_stages: stages without training; -1 or 0 for none.
        conv_cfg, norm_cfg, act_cfg: for all layers.
        ceil_mode: of the pooling.
        with_last_pool: pool after the last stage.

    Raises:
        UnknownNameError: no network of this depth.
        ConfigError: stages, dilations and indices do not fit together.
    """

    #: depth -> convolutions of each stage
    arch_settings = {
        11: (1, 1, 2, 2, 2),
        13: (2, 2, 2, 2, 2),
        16: (2, 2, 3, 3, 3),
        19: (2, 2, 4, 4, 4),
    }
    stage_channels = (64, 128, 256, 512, 512)

    def __init__(
        self,
        depth: int,
        num_classes: int = -1,
        num_stages: int = 5,
        dilations: Sequence[int] = (1, 1, 1, 1, 1),
        out_indices: Sequence[int] | None = None,
        frozen_stages: int = -1,
        conv_cfg: Config | None = None,
        norm_cfg: Config | None = None,
        act_cfg: Config = {"type": "ReLU"},  # noqa: B006 (never changed)
        norm_eval: bool = False,
        ceil_mode: bool = False,
        with_last_pool: bool = True,
        init_cfg: Any = KAIMING_LINEAR_INIT,
    ) -> None:
        super().__init__(init_cfg)
        if depth not in self.arch_settings:
            known = ", ".join(map(str, self.arch_settings))
            raise UnknownNameError(f"invalid depth {depth} for VGG; there are {known}")
        if not 1 <= num_stages <= 5:
            raise ConfigError(f"num_stages must be 1 to 5, got {num_stages}")
        check_entries(self, num_stages, "stages", {"dilations": dilations})
        if out_indices is None:
            out_indices = (5,) if num_classes > 0 else (4,)
        # the classifier counts as one more
        check_out_indices(out_indices, num_stages + (num_classes > 0))
        check_frozen_stages(frozen_stages, num_stages)
        self.num_classes, self.out_indices = num_classes, out_indices
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        self.stage_blocks = self.arch_settings[depth][:num_stages]
        cfgs = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        layers: list[nn.Module] = []
        #: first layer and first layer after, of each stage
        self.range_sub_modules: list[list[int]] = []
        channels = 3
        shapes = zip(self.stage_blocks, self.stage_channels, dilations, strict=False)
        for count, out, dilation in shapes:
            start = len(layers)
            for _ in range(count):
                spacing = {"padding": dilation, "dilation": dilation}
                layers.append(ConvModule(channels, out, 3, bias=True, **spacing, **cfgs))
                channels = out
            layers.append(MaxPool2d(2, 2, ceil_mode=ceil_mode))
            self.range_sub_modules.append([start, len(layers)])
        if not with_last_pool:
            layers.pop()
            self.range_sub_modules[-1][1] -= 1
        self.features = nn.Sequential(*layers)
        if num_classes > 0:
            self.classifier = nn.Sequential(
                nn.Linear(512 * 7 * 7, HIDDEN),
                nn.ReLU(True),
                nn.Dropout(),
                nn.Linear(HIDDEN, HIDDEN),
                nn.ReLU(True),
                nn.Dropout(),
                nn.Linear(HIDDEN, num_classes),
            )

    def _freeze_stages(self) -> None:
        for start, end in self.range_sub_modules[: max(self.frozen_stages, 0)]:
            freeze(self.features[start:end])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> a map for each of `out_indices`, and class scores if there are any."""
        outs = []
        for i, (start, end) in enumerate(self.range_sub_modules):
            x = self.features[start:end](x)
            if i in self.out_indices:
                outs.append(x)
        if self.num_classes > 0:
            outs.append(self.classifier(x.flatten(1)))
        return tuple(outs)
