"""Scores per keypoint, worst cases, and the page that shows them."""

from __future__ import annotations

import html.parser

import cv2
import numpy as np
import pytest

from poise.report import CaseBook, write_page
from poise.report.page import Page
from poise.report.pictures import draw_case
from poise.structures import InstanceData, PoseDataSample


def sample(tmp_path, truth, found, number=0, visible=None):
    """A data sample of people in a box of 100 pixels."""
    path = tmp_path / f"{number}.png"
    cv2.imwrite(str(path), np.full((120, 120, 3), 90, np.uint8))
    truth, found = np.asarray(truth, float), np.asarray(found, float)
    visible = np.ones(truth.shape[:2]) if visible is None else np.asarray(visible, float)
    made = PoseDataSample(metainfo={"img_path": str(path), "id": number})
    boxes = np.tile([0.0, 0, 100, 50], (len(truth), 1))
    made.gt_instances = InstanceData(keypoints=truth, keypoints_visible=visible, bboxes=boxes)
    made.pred_instances = InstanceData(keypoints=found, keypoint_scores=np.ones(found.shape[:2]))
    return made


def test_distances_are_shares_of_the_longer_side(tmp_path):
    book = CaseBook({"keypoint_id2name": {0: "nose", 1: "ear"}})
    book.add(sample(tmp_path, [[[10, 10], [50, 20]]], [[[14, 13], [50, 28]]]))
    book.add(sample(tmp_path, [[[10, 10], [50, 20]]], [[[10, 10], [50, 60]]], number=1))
    nose, ear = book.keypoint_scores()
    assert (nose.name, nose.count, nose.within) == ("nose", 2, (1.0, 1.0))
    assert (ear.within, ear.median) == ((0.0, 0.5), pytest.approx(0.24))
    assert [c.name for c in book.worst(1)] == ["1"]
    assert [c.error for c in book.best(1)] == [pytest.approx((0.05 + 0.08) / 2)]
    assert (len(book.worst(2)), book.best(2)) == (2, [])


def test_keypoints_without_a_label_do_not_count(tmp_path):
    book = CaseBook()
    book.add(sample(tmp_path, [[[0, 0], [9, 9]]], [[[90, 90], [9, 9]]], visible=[[0, 1]]))
    assert [(r.count, r.within) for r in book.keypoint_scores()] == [(0, (0, 0)), (1, (1, 1))]
    book.add(sample(tmp_path, [[[0, 0], [9, 9]]], [[[0, 0], [9, 9]]], visible=[[0, 0]]))
    assert len(book.cases) == 1


def test_people_are_paired_with_the_predictions_nearest_to_them(tmp_path):
    book = CaseBook()
    truth = [[[10, 10]], [[60, 10]], [[90, 40]]]
    book.add(sample(tmp_path, truth, [[[61, 10]], [[10, 12]]]))
    assert [round(c.error, 3) for c in book.cases] == [0.02, 0.01, np.inf]
    (row,) = book.keypoint_scores()
    assert row.within == (pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_a_case_is_drawn_beside_its_annotation(tmp_path):
    book = CaseBook()
    book.add(sample(tmp_path, [[[30, 30], [70, 20]]], [[[31, 30], [70, 21]]]))
    picture = cv2.imdecode(np.frombuffer(draw_case(book.cases[0]), np.uint8), cv2.IMREAD_COLOR)
    height, width, _ = picture.shape
    assert width == 2 * 224 + 3
    assert height < 224
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 3
    (tmp_path / "0.png").unlink()
    assert draw_case(book.cases[0]) is None


class Links(html.parser.HTMLParser):
    """Collects tags, and what a page would fetch."""

    def __init__(self):
        super().__init__()
        self.tags, self.fetched = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        found = values.get("src") or values.get("href")
        if found and not found.startswith("data:"):
            self.fetched.append(found)


def test_the_page_needs_nothing_else_and_escapes_what_it_shows(tmp_path):
    book = CaseBook({"keypoint_id2name": {0: "<nose>"}})
    book.add(sample(tmp_path, [[[10, 10]]], [[[12, 10]]]))
    page = Page(
        title="a <run>",
        facts={"trained": "1 epoch"},
        metrics={"PCK": 0.5},
        curves=b"png",
        keypoints=book.keypoint_scores(),
        worst=[(b"jpeg", "0")],
        notes=["a note"],
        config="model = dict(type='<X>')",
        environment={"torch": "2"},
    )
    text = write_page(page, tmp_path / "out" / "report.html").read_text()
    links = Links()
    links.feed(text)
    assert links.fetched == []
    assert {"table", "img", "details"} <= set(links.tags)
    assert "&lt;nose&gt;" in text
    assert "<X>" not in text
    assert "Best cases" not in text
