"""Every name that MMPose registers exists here, and building its class needs no other library."""

from pathlib import Path

import pytest

from poise import registry

NAMES = [
    tuple(line.split())
    for line in (Path(__file__).parent / "mmpose_names.txt").read_text().splitlines()
    if not line.startswith("#")
]
#: kinds that are reached in another way than by a registry
ELSEWHERE = {
    "INFERENCERS": "the inferencers of `poise.apis` are built by name of a model, not by a config",
}


@pytest.mark.parametrize(("kind", "name"), NAMES, ids=lambda part: part)
def test_every_name_of_mmpose_is_registered(kind, name):
    found = getattr(registry, kind).get(name)
    if found is None and (reason := ELSEWHERE.get(kind)):
        pytest.skip(reason)
    assert found is not None, f"{name} is missing in {kind}"
    assert found.__name__ == name or found.__module__.startswith("poise.")


def test_the_list_is_whole():
    counts = {kind: sum(k == kind for k, _ in NAMES) for kind, _ in NAMES}
    assert counts["MODELS"] == 100
    assert counts["KEYPOINT_CODECS"] == 15
    assert len(set(NAMES)) == len(NAMES)
