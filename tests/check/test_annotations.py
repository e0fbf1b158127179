"""Faults of an annotation file, told without a schema, too."""

import json

from poise.check.annotations import AnnotationFile
from poise.datasets.instances import InstanceRule


def test_different_numbers_of_keypoints_are_told_without_a_schema(tmp_path):
    people = [
        {"id": n, "image_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [1, 2, 2] * count}
        for n, count in enumerate((3, 3, 2), 1)
    ]
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"images": [{"id": 1}], "annotations": people}))
    texts = [fault.text for fault in AnnotationFile(str(file), InstanceRule(), None, "").faults()]
    (told,) = [text for text in texts if "keypoints" in text]
    assert told.startswith("1 annotations have 2 keypoints (id 3), the others 3")
