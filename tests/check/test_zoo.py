"""Released configs are sound: the check finds nothing in them but what MMPose's files do wrong."""

from __future__ import annotations

import os

import pytest

from poise.check import check
from poise.zoo import models, names

#: config -> what its one error says; each stops the same training or validation in MMPose
FAULTS = {
    "ae_hrnet-w32_8xb24-300e_coco-512x512": "the data set has an empty pipeline",
    "td-hm_hrnetv2-w18_8xb64-60e_300wlp-256x256": "the dataset '300wlp' has no default",
    **{
        f"td-hm_{network}-20e_posetrack18-{size}": "save_best names 'posetrack18/Total AP'"
        for network in ("hrnet-w32_8xb64", "hrnet-w48_8xb64", "res50_8xb64")
        for size in ("256x192", "384x288")
    },
}
POSES = [name for name in names() if not models()[name].is_detector]
#: deformable convolutions of large maps take their time on a processor
SLOW = ("dekr", "cid", "edpose", "rtmo-l")
#: all with POISE_TEST_ZOO=1; else some of every family
ZOO = (
    POSES
    if os.environ.get("POISE_TEST_ZOO")
    else [
        *[name for name in POSES[7::31] if not name.startswith(SLOW)],
        "ae_hrnet-w32_8xb24-300e_coco-512x512",
        "rtmo-s_8xb32-600e_coco-640x640",
        "video-pose-lift_tcn-27frm-supv_8xb128-160e_h36m",
        "dwpose_l_dis_m_coco-256x192",
        "py_yolox_pose_s_8xb32_300e_coco",
    ]
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_a_released_config_has_no_errors(name):
    errors = [str(finding) for finding in check(name).errors]
    if name in FAULTS:
        assert len(errors) == 1
        assert FAULTS[name] in errors[0]
    else:
        assert errors == []


def test_nothing_that_is_written_in_any_released_config_is_an_error():
    for name in POSES[:: 1 if os.environ.get("POISE_TEST_ZOO") else 5]:
        report = check(name, quick=True)
        assert report.errors == [], name


def test_a_check_that_fails_does_not_hide_the_others(monkeypatch):
    from poise.check import agreement

    def broken(context):
        raise ZeroDivisionError("oops")
        yield

    monkeypatch.setattr(agreement, "check_codecs", broken)
    report = check("rtmpose-t_8xb256-420e_coco-256x192", parts=("train",), quick=True)
    notes = [f for f in report.of("note") if f.part == "check"]
    assert [f.where for f in notes] == ["the check of codecs and crops could not be made"]
    assert notes[0].text == "ZeroDivisionError: oops"
    assert len(report.findings) > 1
    assert report.summary.startswith("no errors were found, but not everything could be looked at")


def test_a_detector_is_looked_at_as_any_model():
    report = check("rtmdet_m_8xb32-300e_coco", parts=("train",), quick=True)
    assert not [error.text for error in report.errors if error.where.startswith("model")]
