"""Predictions drawn on the pictures they were made from: poses, and boxes of detectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poise.errors import ConfigError
from poise.registry import HOOKS
from poise.training.hooks.base import Hook

__all__ = ["DetVisualizationHook", "PoseVisualizationHook", "draw_sample"]


@HOOKS.register_module()
class PoseVisualizationHook(Hook):
    """Draws predictions during validation (one picture at intervals) and testing (each).

    Pictures are files in the run's folder, and go to the `vis_backends` of the config, too.

    Args:
        enable: whether anything is drawn.
        interval: iterations between two pictures of a validation.
        kpt_thr: score below which a keypoint is not drawn.
        show: open a window for each picture.
        wait_time: seconds that a window stays; 0 waits for a key.
        out_dir: folder of a test's pictures, below the run's folder.
        backend_args: of remote storage in MMPose; not used.

    Raises:
        ConfigError: an interval below 1.
    """

    def __init__(
        self,
        enable: bool = False,
        interval: int = 50,
        kpt_thr: float = 0.3,
        show: bool = False,
        wait_time: float = 0.0,
        out_dir: str | None = None,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        if interval < 1:
            raise ConfigError(
                f"interval of {type(self).__name__} must be at least 1, got {interval}"
            )
        self.enable = enable
        self.interval = interval
        self.kpt_thr = kpt_thr
        self.show = show
        self.wait_time = wait_time
        self.out_dir = out_dir
        self._drawn = 0

    def after_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Draw the first sample of every `interval`-th batch."""
        step = runner.iter + batch_idx
        due = self.enable and runner.is_main and step % self.interval == 0
        if due and outputs:
            self._draw(runner, outputs[0], Path(runner.log_dir) / "vis_image", "val", step)

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Draw every sample."""
        if not self.enable:
            return
        folder = Path(runner.log_dir) / (self.out_dir or "vis_image")
        for sample in outputs or ():
            # samples are dealt round robin to processes: the number in the data set, from 1
            step = self._drawn * runner.world_size + runner.rank + 1
            self._drawn += 1
            self._draw(runner, sample, folder, "test", step)

    def _draw(self, runner: Any, sample: Any, folder: Path, mode: str, step: int) -> None:
        name = f"{mode}_{step:06d}_{Path(sample.get('img_path')).stem}.jpg"
        draw_sample(
            runner,
            sample,
            folder / name,
            name=f"{mode}_img",
            step=step,
            show=self.show,
            wait_time=self.wait_time,
            **self.style(),
        )

    def style(self) -> dict[str, Any]:
        """What the visualizer is told about the drawing."""
        return {"kpt_thr": self.kpt_thr, "draw_bbox": True, "draw_heatmap": True}


@HOOKS.register_module(scope="mmdet")
class DetVisualizationHook(PoseVisualizationHook):
    """The same for detectors: boxes with their classes and scores.

    Args:
        draw: whether anything is drawn.
        interval, show, wait_time: as `PoseVisualizationHook`.
        score_thr: score below which a box is not drawn.
        test_out_dir: folder of a test's pictures, below the run's folder.
        backend_args: of remote storage in MMDetection; not used.
    """

    def __init__(
        self,
        draw: bool = False,
        interval: int = 50,
        score_thr: float = 0.3,
        show: bool = False,
        wait_time: float = 0.0,
        test_out_dir: str | None = None,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(draw, interval, show=show, wait_time=wait_time, out_dir=test_out_dir)
        self.score_thr = score_thr

    def style(self) -> dict[str, Any]:
        """What the visualizer is told about the drawing."""
        return {"pred_score_thr": self.score_thr}


def draw_sample(
    runner: Any,
    sample: Any,
    path: Path,
    *,
    name: str,
    step: int,
    draw_gt: bool = False,
    **drawing: Any,
) -> None:
    """Draw one predicted sample on its picture, into a file and for the run's loggers.

    Args:
        runner: whose visualiser draws.
        sample: predicted data sample with `img_path`.
        path: file of the drawn picture.
        name, step: name and number of the picture, for loggers.
        draw_gt: draw the annotation too.
        **drawing: `show`, `wait_time` and what else the visualiser takes.
    """
    from poise.structures import merge_data_samples
    from poise.transforms.image import stored_image

    picture = stored_image(str(sample.get("img_path")))
    if picture is None:
        runner.logger.warning(f"{sample.get('img_path')} cannot be read and is not drawn")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = runner.visualizer.add_datasample(
        path.stem,
        picture[..., ::-1],
        data_sample=merge_data_samples([sample]),
        draw_gt=draw_gt,
        out_file=str(path),
        step=step,
        **drawing,
    )
    # a visualizer of the user's may return nothing, as MMPose's do in other processes
    if drawn is not None:
        runner.scalars.send_picture(name, drawn, step=step)
