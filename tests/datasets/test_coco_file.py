"""A COCO file answers as pycocotools does."""

import json

import pytest
from pycocotools.coco import COCO

from poise.datasets import CocoFile


@pytest.fixture
def both(tmp_path):
    """The file as Poise and as pycocotools read it."""
    annotations = [
        dict(id=10 + n, image_id=n % 3, category_id=1 + n % 2, area=10.0 * n, iscrowd=int(n == 4))
        for n in range(7)
    ]
    content = dict(
        images=[dict(id=n, file_name=f"{n}.jpg", width=8, height=8) for n in range(4)],
        annotations=annotations,
        categories=[dict(id=n, name=str(n)) for n in (1, 2)],
    )
    file = tmp_path / "coco.json"
    file.write_text(json.dumps(content))
    return CocoFile(str(file), owner="the test"), COCO(str(file))


@pytest.mark.parametrize(
    "asked",
    [
        {},
        dict(imgIds=2),
        dict(imgIds=[2, 0]),
        dict(imgIds=3),
        dict(catIds=[2]),
        dict(areaRng=[10, 30]),
        dict(areaRng=[10, 30], iscrowd=False),
        dict(imgIds=1, iscrowd=True),
        dict(iscrowd=True),
    ],
)
def test_annotations_are_found_as_in_pycocotools(both, asked):
    ours, theirs = both
    found = ours.getAnnIds(**asked)
    assert found == theirs.getAnnIds(**asked)
    assert ours.loadAnns(found) == theirs.loadAnns(found)


def test_images_and_categories_are_listed_as_in_pycocotools(both):
    ours, theirs = both
    assert ours.getImgIds() == theirs.getImgIds()
    assert ours.getCatIds() == theirs.getCatIds()
    assert ours.loadImgs([3, 1]) == theirs.loadImgs([3, 1])
    assert ours.loadImgs(2) == theirs.loadImgs(2)
    assert ours.loadCats(2) == theirs.loadCats(2)
