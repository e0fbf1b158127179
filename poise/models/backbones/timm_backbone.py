"""Any model of timm as a backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from poise._lazy import needed
from poise.errors import ConfigError, nearest
from poise.models.backbones.base import BaseBackbone
from poise.registry import MODELS

__all__ = ["PretrainTIMMBackbone", "TIMMBackbone"]


@MODELS.register_module(scope="poise")
@MODELS.register_module()
class TIMMBackbone(BaseBackbone):
    """A network of timm, by name: (B, 3, H, W) -> feature maps, finest first.

    timm has about a thousand image networks with weights; this makes each a backbone here.

    Args:
        model_name: name that `timm.list_models()` knows, such as "convnext_tiny".
        features_only: return a pyramid of maps; False returns what `forward_features` gives,
            as a tuple of one.
        pretrained: load timm's weights.
        checkpoint_path: weights of a file, in timm's form.
        in_channels: channels of the picture.
        init_cfg: how weights start; not used with weights from timm.
        out_indices: maps of the pyramid; None returns all.
        **kwargs: further arguments of `timm.create_model`.

    Raises:
        MissingDependencyError: timm is not installed.
        ConfigError: timm has no such model, or it gives no pyramid.

    Attributes:
        out_channels: channels of each map; empty without `features_only`.
        strides: pixels of the picture for a pixel of each map; likewise.
    """

    def __init__(
        self,
        model_name: str,
        features_only: bool = True,
        pretrained: bool = False,
        checkpoint_path: str = "",
        in_channels: int = 3,
        init_cfg: Any = None,
        out_indices: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg)
        timm = _import_timm()
        if not timm.is_model(model_name):
            close = nearest(model_name, timm.list_models())
            raise ConfigError(f"timm {timm.__version__} has no model {model_name!r}{close}")
        if features_only and out_indices is not None:
            kwargs["out_indices"] = tuple(out_indices)
        self.features_only = features_only
        try:
            self.timm_model = timm.create_model(
                model_name,
                pretrained=pretrained,
                features_only=features_only,
                in_chans=in_channels,
                checkpoint_path=checkpoint_path,
                **kwargs,
            )
        except (AttributeError, AssertionError, IndexError, RuntimeError, TypeError) as error:
            raise ConfigError(
                f"timm cannot make {model_name!r} with {features_only=} and {kwargs}: {error}"
            ) from error
        if not features_only and hasattr(self.timm_model, "reset_classifier"):
            # no head: its parameters would get no gradients
            self.timm_model.reset_classifier(0, "")
        info = self.timm_model.feature_info if features_only else None
        self.out_channels: list[int] = info.channels() if info else []
        self.strides: list[int] = info.reduction() if info else []
        self._channels_last = str(getattr(self.timm_model, "output_fmt", "")).endswith("NHWC")
        # weights that timm has loaded must not be drawn over
        self._is_init = bool(pretrained or checkpoint_path)

    def init_weights(self) -> None:
        """Apply `init_cfg`, unless timm has loaded weights."""
        if not self._is_init:
            super().init_weights()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) -> maps, finest first; or ((B, ...),) without `features_only`."""
        if not self.features_only:
            out = self.timm_model.forward_features(x)
            return tuple(out) if isinstance(out, (list, tuple)) else (out,)
        outs = self.timm_model(x)
        # window transformers of timm have channels last
        return tuple(o.permute(0, 3, 1, 2) if self._channels_last else o for o in outs)


@MODELS.register_module(name="TIMMBackbone", scope="mmpretrain")
class PretrainTIMMBackbone(TIMMBackbone):
    """`TIMMBackbone` with the default of MMPretrain: the last features only."""

    def __init__(self, model_name: str, features_only: bool = False, **kwargs: Any) -> None:
        super().__init__(model_name, features_only, **kwargs)


def _import_timm() -> Any:
    return needed(
        "timm",
        "TIMMBackbone needs timm; install it by `pip install 'poise[backbones]'`",
    )
