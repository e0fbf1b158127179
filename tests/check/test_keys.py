"""Keys of a whole config that runs look at."""

import pytest

from poise.check.keys import check_overrides, check_training_config
from poise.errors import ConfigError


def test_overrides_of_keys_that_a_run_reads_need_not_be_in_the_config():
    check_overrides({"model": {}}, {"experiment_name": "mine", "randomness.seed": 1})
    with pytest.raises(ConfigError, match="the config has no 'experiment_nam'; did you mean"):
        check_overrides({"model": {}}, {"experiment_nam": "mine"})


@pytest.mark.parametrize("name", ["faster-rcnn", "ssdlite", "yolov3"])
def test_detectors_that_only_predict_are_refused_before_anything_else(name):
    from poise.zoo import load_config

    with pytest.raises(ConfigError, match="is a detector for prediction and is not trained here"):
        check_training_config(load_config(name))


def test_own_heads_in_a_detector_of_one_stage_may_train():
    model = {"type": "mmdet.SingleStageDetector", "bbox_head": {"type": "MyHead"}}
    with pytest.raises(ConfigError, match="training needs 'train_dataloader'"):
        check_training_config({"model": model})
