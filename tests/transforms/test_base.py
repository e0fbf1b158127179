from __future__ import annotations

import pytest

from poise.errors import DataError
from poise.registry import TRANSFORMS
from poise.transforms import BaseTransform, GetBBoxCenterScale, MissingKeyError, TopdownAffine


class Reads(BaseTransform):
    def __init__(self, key):
        self.key = key

    def transform(self, results):
        results["seen"] = results[self.key]
        return results


def test_calling_runs_transform():
    assert Reads("bbox")({"bbox": 3}) == {"bbox": 3, "seen": 3}


@pytest.mark.parametrize(
    ("transform", "results", "text"),
    [
        (Reads("img"), {}, r"Reads needs results\['img'\].*LoadImage.*Keys present: none"),
        (GetBBoxCenterScale(), {"bbbox": 0}, "GetBBoxCenterScale needs.*did you mean 'bbbox'"),
        (TopdownAffine((4, 4)), {"img": 0}, "TopdownAffine.*'bbox_scale'.*GetBBoxCenterScale"),
    ],
)
def test_a_missing_key_names_the_transform_and_who_gives_it(transform, results, text):
    with pytest.raises(MissingKeyError, match=text):
        transform(results)


@pytest.mark.parametrize("kind", [KeyError, ValueError, DataError])
def test_a_missing_key_is_also_the_builtin_error(kind):
    with pytest.raises(kind):
        Reads("img")({})


def test_a_users_own_key_error_stays_as_it_is():
    with pytest.raises(KeyError) as caught:
        Reads("my_own_table")({})
    assert not isinstance(caught.value, MissingKeyError)


def test_a_class_without_transform_cannot_be_made():
    with pytest.raises(TypeError, match="transform"):
        BaseTransform()


def test_every_registered_name_is_in_the_table_and_importable():
    from poise import transforms

    for name in TRANSFORMS.names():
        scope, _, bare = name.partition(".")
        found = TRANSFORMS.get(name)
        assert issubclass(found, BaseTransform), name
        if scope in ("mmpose", "mmcv", "mmdet") and found.__module__.startswith("poise."):
            # MMDetection calls other classes by names of MMPose
            assert getattr(transforms, found.__name__ if scope == "mmdet" else bare) is found


def test_transforms_import_without_torch():
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import poise.transforms as t\n"
        "[getattr(t, n) for n in t.__all__]\n"
        "t.Compose([dict(type='LoadImage'), dict(type='BottomupResize', input_size=[32, 32])])"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240)


def test_repr_shows_the_arguments_that_are_kept():
    class Shifted(BaseTransform):
        def __init__(self, by, seed=3):
            self.by = by
            self._random = seed

        def transform(self, results):
            return results

    assert repr(Shifted(by=2)) == "Shifted(by=2)"
