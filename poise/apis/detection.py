"""MMDetection's two calls, which MMPose's demos find people with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poise.apis.inference import pixels_of, present_device
from poise.config import Config

__all__ = ["adapt_mmdet_pipeline", "inference_detector", "init_detector"]


def init_detector(
    config: Any,
    checkpoint: str | os.PathLike[str] | None = None,
    palette: str = "none",
    device: Any = "cuda:0",
    cfg_options: Mapping[str, Any] | None = None,
) -> Any:
    """Detector that is ready to use, with `cfg`.

    Args:
        config: path of a config file, a detector's name, or a `Config`, which is not changed.
        checkpoint: path or URL; None leaves the weights as they start, except for detectors
            whose weights are on this machine by their name.
        palette: kept for scripts; detectors draw nothing here.
        device: where the detector goes; the CPU where CUDA is asked for and absent.
        cfg_options: changes of the config, such as {"model.test_cfg.score_thr": 0.1}.

    Raises:
        ConfigError: a config that is not one of a detector that Poise has.
        CheckpointError: weights that cannot be read or do not fit.
    """
    from poise.inference.detectors.network import check_kind
    from poise.models.build import load_model
    from poise.zoo import default_weights, load_config
    from poise.zoo.older_configs import in_todays_words

    name = os.fspath(config) if isinstance(config, (str, os.PathLike)) else "the config"
    if checkpoint is None and not Path(name).is_file():
        checkpoint = default_weights(name)
    config = in_todays_words(load_config(config).copy())
    if cfg_options is not None:
        config.merge_from_dict(dict(cfg_options))
    check_kind(config, name)
    return load_model(config, checkpoint, present_device(device))


def inference_detector(
    model: Any, imgs: Any, test_pipeline: Any = None, text_prompt: str | None = None
) -> Any:
    """Boxes in a picture or in several; those of one size pass the network together.

    Args:
        model: of `init_detector`.
        imgs: path, or pixels (H, W, 3) in BGR order, or a list of these.
        test_pipeline: `Compose` to use instead of the config's; its first step gets `img`.
        text_prompt: kept for scripts; no detector here reads text.

    Returns:
        A sample with `pred_instances` (tensors): `bboxes` (N, 4) xyxy, image space, `scores`
        (N,), `labels` (N,), best first; of a list of pictures a list of samples.
    """
    import torch

    from poise.inference.detectors.network import picture_pipeline, tested

    several = isinstance(imgs, (list, tuple))
    pipeline = test_pipeline or picture_pipeline(model.cfg, type(model).__name__)
    items = []
    for picture in imgs if several else [imgs]:
        image, path = pixels_of(picture)
        items.append(pipeline({"img": image, "img_path": path}))
    with torch.no_grad():
        samples = tested(model, items)
    return samples if several else samples[0]


def adapt_mmdet_pipeline(cfg: Config) -> Config:
    """The config as it is: Poise knows by `default_scope` whose transforms are meant.

    MMPose's demos call it on a detector's config.
    """
    return cfg
