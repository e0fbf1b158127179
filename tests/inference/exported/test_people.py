"""Pictures on their way into an exported network of whole pictures."""

import numpy as np
import pytest

from poise.errors import ConfigError, DataError
from poise.inference.exported.opening import is_exported
from poise.inference.exported.people import PictureSteps
from poise.inference.networks.crops import Crop, PipelineCrops
from poise.transforms import Compose


class DropSmall:
    """A step as users write them: None drops a sample."""

    def __call__(self, results):
        return results if results["img"].shape[0] > 10 else None


def test_a_picture_that_the_pipeline_drops_is_named():
    pipeline = Compose([DropSmall()])
    steps = PictureSteps(PipelineCrops(pipeline, {}))
    fitted = steps(Crop(np.zeros((20, 30, 3), np.uint8), None, 1.0, "large.png"))
    assert fitted.pixels.shape == (20, 30, 3)
    with pytest.raises(DataError, match=r"DropSmall of the test pipeline gave nothing for a\.png"):
        steps(Crop(np.zeros((8, 8, 3), np.uint8), None, 1.0, "a.png"))


def test_the_weights_of_an_ncnn_network_lead_to_the_network(tmp_path):
    weights = tmp_path / "pose.bin"
    assert not is_exported(weights)
    weights.with_suffix(".param").touch()
    with pytest.raises(ConfigError, match=r"give .*pose\.param instead"):
        is_exported(weights)
