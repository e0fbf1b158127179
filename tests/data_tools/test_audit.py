"""An audit finds faults that were planted, says how sure it is, and leaves good labels alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from poise import schemas
from poise.cli.data import app
from poise.data_tools import open_dataset
from poise.data_tools.audit import (
    People,
    Poses,
    Predictions,
    audit_labels,
    audit_people,
    doubtful_ids,
    gather_people,
    measure_audit,
    read_poses,
    write_audit_page,
)
from poise.errors import ArgumentError, DataError
from poise.metrics.prediction_file import PredictionWriter
from poise.structures.metainfo import parse_pose_metainfo

run = CliRunner().invoke

META = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})
NAMES = [p["name"] for p in schemas.get("coco")["keypoint_info"].values()]
SIZE = 100.0
# a person of the height 1 that looks at us, from the nose to the ankles
STANDING = np.array(
    [[0, 0], [0.02, -0.02], [-0.02, -0.02], [0.05, 0], [-0.05, 0]]
    + [[s * 0.13, y] for y in (0.14,) for s in (1, -1)]
    + [[s * x, y] for x, y in ((0.2, 0.3), (0.22, 0.45), (0.09, 0.45)) for s in (1, -1)]
    + [[s * 0.1, y] for y in (0.68, 0.9) for s in (1, -1)]
)


def people_of(count: int, per_picture: int = 1, seed: int = 0) -> People:
    """Standing people with arms and legs anywhere, labelled by a steady hand."""
    rng = np.random.default_rng(seed)
    # faces are labelled more exactly than limbs
    steady = np.where(np.arange(17) < 5, 0.004, 0.02)[:, None]
    points = np.tile(STANDING, (count, 1, 1)) + steady * rng.normal(size=(count, 17, 2))
    points *= rng.uniform(0.7, 1.3, (count, 1, 1)) * SIZE
    # people of a picture stand side by side
    points[..., 0] += (np.arange(count) % per_picture)[:, None] * 2 * SIZE + SIZE
    points[..., 1] += SIZE
    low, high = points.min(axis=1) - 5, points.max(axis=1) + 5
    boxes = np.concatenate([low, high], axis=1)
    swap = np.asarray(META["flip_indices"])
    left = np.flatnonzero(swap > np.arange(17))
    pictures = [f"{n}.png" for n in range(-(-count // per_picture))]
    return People(
        list(range(count)),
        np.arange(count) // per_picture,
        pictures,
        list(range(len(pictures))),
        points,
        np.ones((count, 17), bool),
        boxes,
        (high - low).prod(axis=1) * 0.5,
        np.full((count, 17), 2.0),
        NAMES,
        np.stack([left, swap[left]], axis=1),
        np.asarray(META["skeleton_links"]),
        np.asarray(META["sigmas"]),
        metainfo=dict(META),
    )


def poses_of(people: People, noise: float = 0.02, slips: float = 0.0, seed: int = 1) -> Predictions:
    """What a model sees that is right but for some noise, and slips in a share of the keypoints."""
    rng = np.random.default_rng(seed)
    size = people.sizes[:, None, None]
    points = people.points + noise * size * rng.normal(size=people.points.shape)
    gone = rng.uniform(size=(len(people), 17)) < slips
    points += np.where(gone[..., None], size * rng.normal(0, 0.3, points.shape), 0)
    scores = rng.uniform(0.6, 1.0, (len(people), 17))
    found = Predictions(points, scores, title="a model")
    for picture in range(len(people.pictures)):
        members = people.in_picture(picture)
        found.others[picture] = Poses(points[members], scores[members], scores[members].mean(1))
        found.matched[picture] = members
    return found


def swapped(people: People, person: int, pair: tuple[str, str] | None = None) -> People:
    points = people.points.copy()
    pairs = people.pairs if pair is None else np.array([[NAMES.index(n) for n in pair]])
    points[person, pairs[:, 0]] = people.points[person, pairs[:, 1]]
    points[person, pairs[:, 1]] = people.points[person, pairs[:, 0]]
    return replace(people, points=points)


class TestAgainstAModel:
    def test_good_labels_are_left_alone(self) -> None:
        people = people_of(300, 3)
        found = audit_people(people, poses_of(people), least=0.5)
        assert len(found.findings) <= 2
        assert found.facts["labels that the model agrees with"] in ("98%", "99%", "100%")

    def test_planted_faults_come_first(self) -> None:
        people = people_of(600, 3)
        measured = measure_audit(people, poses_of(people), seeds=2)
        assert measured["planted"] == 42
        assert measured["top"][20]["precision"] >= 0.95
        assert measured["top"][50]["recall"] >= 0.8
        recall = {kind: row["recall_twice"] for kind, row in measured["kinds"].items()}
        assert set(recall) == {
            "swapped",
            "pair swapped",
            "shifted",
            "other person's",
            "missing person",
            "duplicate",
            "box cuts",
        }
        assert min(recall.values()) >= 0.6, recall

    def test_a_whole_body_is_one_finding_with_its_gain(self) -> None:
        people = people_of(300)
        found = audit_people(swapped(people, 7), poses_of(people))
        first = found.findings[0]
        assert (first.kind, first.id, len(first.keypoints)) == ("swapped", 7, 16)
        assert first.sure > 0.2
        assert first.oks_before is not None
        assert first.oks_before < 0.5
        assert first.oks_after is not None
        assert first.oks_after > 0.8
        assert sum(f.id == 7 for f in found.findings) == 1

    def test_a_pair_is_named(self) -> None:
        people = people_of(300)
        pair = ("left_knee", "right_knee")
        first = audit_people(swapped(people, 5, pair), poses_of(people)).findings[0]
        assert (first.kind, first.id, first.keypoints) == ("pair swapped", 5, list(pair))
        assert first.sure > 0.9

    def test_a_stranger_is_told_from_a_slip(self) -> None:
        people = people_of(300, 3)
        poses = poses_of(people)
        k = NAMES.index("left_wrist")
        people.points[0, k] = people.points[1, k]
        people.points[9, k] += 30
        found = {f.id: f for f in reversed(audit_people(people, poses).findings)}
        assert (found[0].kind, found[9].kind) == ("other person's", "shifted")
        assert list(found[0].keypoints) == list(found[9].keypoints) == ["left_wrist"]

    def test_a_bad_model_makes_nobody_sure(self) -> None:
        right = people_of(300)
        wrong = people_of(300)
        wrist, elbow = NAMES.index("left_wrist"), NAMES.index("left_elbow")
        # turned around the elbow, so that no limb is longer than before
        arm = wrong.points[4, wrist] - wrong.points[4, elbow]
        wrong.points[4, wrist] = wrong.points[4, elbow] + arm[::-1] * [1, -1]
        sure = []
        for slips in (0.0, 0.2):
            findings = audit_people(wrong, poses_of(right, slips=slips), least=0.0).findings
            mine = (f.sure for f in findings if f.id == 4 and "left_wrist" in f.keypoints)
            sure.append(next(mine, 0.0))
        assert sure[0] > 2 * sure[1]

    def test_missing_people_are_not_those_of_crowds(self) -> None:
        people = people_of(400, 2)
        poses = poses_of(people)
        kept = np.setdiff1d(np.arange(400), [1, 3])
        fewer = replace(
            people,
            ids=kept.tolist(),
            **{
                name: getattr(people, name)[kept]
                for name in ("image", "points", "seen", "boxes", "areas", "flags")
            },
            ignored={1: people.boxes[3:4]},
        )
        poses = replace(poses, points=poses.points[kept], scores=poses.scores[kept])
        number = {int(old): new for new, old in enumerate(kept)}
        poses.matched = {
            p: np.array([number.get(int(o), -1) for o in owner])
            for p, owner in poses.matched.items()
        }
        found = [f for f in audit_people(fewer, poses).findings if f.kind == "missing person"]
        assert [(f.image_id, f.id) for f in found] == [(0, None)]
        np.testing.assert_allclose(found[0].pose, poses.others[0].points[1], atol=0.06)
        assert found[0].as_dict()["pose"] == found[0].pose

    def test_boxes_that_cut_what_the_model_sees(self) -> None:
        people = people_of(300)
        poses = poses_of(people)
        ankles = [NAMES.index(f"{side}_ankle") for side in ("left", "right")]
        # the box ends at the knees, and who drew it labelled nothing below
        people.seen[5, ankles] = False
        people.boxes[5, 3] = people.points[5, [NAMES.index("left_knee")], 1].max() + 1
        found = {f.id: f for f in audit_people(people, poses).findings if f.kind == "box cuts"}
        assert set(found) == {5}
        assert set(found[5].keypoints) == {"left_ankle", "right_ankle"}
        assert "the model sees" in found[5].about


class TestWithoutAModel:
    def test_crossed_sides_and_long_limbs(self) -> None:
        people = swapped(people_of(300), 3, ("left_ankle", "right_ankle"))
        people.points[8, NAMES.index("right_wrist")] += [0, 70]
        people.boxes[8, 3] += 70
        found = audit_people(people).findings
        told = {f.id: (f.kind, list(f.keypoints)) for f in found[:2]}
        assert told[3] == ("pair swapped", ["left_ankle", "right_ankle"])
        assert told[8][0] == "long limb"
        assert "right_wrist" in told[8][1]
        assert found[0].oks_before is None

    def test_faces_that_are_exchanged_as_a_whole(self) -> None:
        people = people_of(200)
        faces = replace(
            people,
            points=people.points[:, :5],
            seen=people.seen[:, :5],
            flags=people.flags[:, :5],
            names=NAMES[:5],
            pairs=people.pairs[:2],
            links=np.zeros((0, 2), np.int64),
            sigmas=people.sigmas[:5],
            # as large as the face, so that its parts are apart
            areas=people.areas * 0.01,
        )
        faces.points[7, [1, 2, 3, 4]] = faces.points[7, [2, 1, 4, 3]]
        first = next(f for f in audit_people(faces).findings if f.kind == "swapped")
        assert (first.id, len(first.keypoints)) == (7, 4)
        assert first.sure > 0.3
        assert "the other way round than in most others" in first.about

    def test_twins_boxes_and_flags(self) -> None:
        people = people_of(60, 2)
        people.points[1] = people.points[0] + 1
        people.boxes[1] = people.boxes[0]
        people.boxes[4, 3] -= 45
        people.flags[6, 2] = 3
        people.points[10, 5] = 0
        found = audit_people(people).findings
        kinds = {(f.id, f.kind) for f in found}
        assert {(0, "duplicate"), (4, "box cuts"), (6, "flag"), (10, "flag")} <= kinds
        twin = next(f for f in found if f.kind == "duplicate")
        assert "OKS with annotation 1 is 0.9" in twin.about or "is 1.00" in twin.about

    def test_few_people_say_nothing_of_shapes(self) -> None:
        assert audit_people(swapped(people_of(6), 2)).findings == []

    def test_shares_are_checked(self) -> None:
        with pytest.raises(ArgumentError, match="--prior is a share above 0 and below 1"):
            audit_people(people_of(3), prior=0)
        with pytest.raises(ArgumentError, match="--model or --predictions, not both"):
            audit_labels(None, model="a", predictions="b")


class TestOfFiles:
    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        """Sixty people in thirty pictures, one of them with crossed knees."""
        people = swapped(people_of(60, 2), 4, ("left_knee", "right_knee"))
        (tmp_path / "images").mkdir()
        images = []
        for n in range(30):
            cv2.imwrite(str(tmp_path / f"images/{n}.png"), np.full((300, 420, 3), 60, np.uint8))
            images.append({"id": n, "file_name": f"{n}.png", "width": 420, "height": 300})
        rows = []
        for n in range(60):
            triples = np.concatenate([people.points[n], np.full((17, 1), 2)], axis=1)
            left, top, right, bottom = people.boxes[n].tolist()
            rows.append(
                {
                    "id": n,
                    "image_id": int(people.image[n]),
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": float(people.areas[n]),
                    "num_keypoints": 17,
                    "keypoints": triples.ravel().tolist(),
                }
            )
        categories = [{"id": 1, "name": "person", "keypoints": NAMES, "skeleton": []}]
        content = {"images": images, "annotations": rows, "categories": categories}
        (tmp_path / "labels.json").write_text(json.dumps(content))
        return tmp_path / "labels.json"

    def predictions(self, path: Path, kind: str) -> Path:
        people = people_of(60, 2)
        poses = poses_of(people)
        if kind == "coco":
            rows = [
                {
                    "image_id": int(people.image[n]),
                    "category_id": 1,
                    "score": 0.9,
                    "keypoints": np.concatenate([poses.points[n], poses.scores[n][:, None]], axis=1)
                    .ravel()
                    .tolist(),
                }
                for n in range(60)
            ]
            path.with_suffix(".json").write_text(json.dumps(rows))
            return path.with_suffix(".json")
        lines = [
            {
                "image": f"somewhere/{n}.png",
                # another order of keypoints
                "keypoint_names": NAMES[::-1],
                "instances": [
                    {
                        "keypoints": poses.points[m][::-1].tolist(),
                        "keypoint_scores": poses.scores[m][::-1].tolist(),
                        "bbox": [0, 0, 1, 1],
                        "bbox_score": 1,
                    }
                    for m in people.in_picture(n)
                ],
            }
            for n in range(30)
        ]
        path.with_suffix(".jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
        return path.with_suffix(".jsonl")

    @pytest.mark.parametrize("kind", ["coco", "results"])
    def test_poses_of_files_find_their_people(
        self, source: Path, tmp_path: Path, kind: str
    ) -> None:
        people = gather_people(open_dataset(source))
        found = read_poses(people, self.predictions(tmp_path / "poses", kind))
        assert found.known.all()
        np.testing.assert_allclose(found.points, poses_of(people_of(60, 2)).points, atol=1e-6)
        first = audit_people(people, found).findings[0]
        assert (first.kind, first.id) == ("pair swapped", 4)

    def test_pictures_of_one_name_are_told_apart_by_their_folders(
        self, source: Path, tmp_path: Path
    ) -> None:
        people = gather_people(open_dataset(source))
        # two cameras with the same names of pictures
        people.pictures = [f"/data/cam{n % 2}/{n // 2}.png" for n in range(len(people.pictures))]
        file = self.predictions(tmp_path / "poses", "results")
        lines = [json.loads(text) for text in file.read_text().splitlines()]
        for n, line in enumerate(lines):
            line["image"] = f"elsewhere/cam{n % 2}/{n // 2}.png"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        found = read_poses(people, file)
        # results are read in single precision
        np.testing.assert_allclose(found.points, poses_of(people_of(60, 2)).points, atol=1e-3)
        for line in lines:
            line["image"] = Path(line["image"]).name
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        with pytest.raises(DataError, match="none of which is in a picture of the labels"):
            read_poses(people, file)

    def test_the_command_writes_findings_and_a_page(self, source: Path, tmp_path: Path) -> None:
        poses = self.predictions(tmp_path / "poses", "coco")
        out, page = tmp_path / "audit.json", tmp_path / "audit.html"
        arguments = ["audit", str(source), "--predictions", str(poses), "-o", str(out)]
        done = run(app, [*arguments, "--page", str(page), "--top", "3", "--self-test"])
        assert done.exit_code == 0, done.output
        assert (
            "  id 4  pair swapped left_knee, right_knee: OKS with the model's pose" in done.output
        )
        assert "of the first 10 findings" in done.output
        content = json.loads(out.read_text())
        assert content["findings"][0]["id"] == 4
        assert content["findings"][0]["oks_after"] > content["findings"][0]["oks_before"]
        assert content["counts"]["pair swapped"] >= 1
        text = page.read_text()
        assert text.count("data:image/jpeg") <= 3
        assert "pair swapped (left_knee, right_knee)" in text
        clean = tmp_path / "clean.json"
        done = run(app, ["convert", str(source), "-o", str(clean), "--without", str(out)])
        assert "left out: 1 person that was to be left out: 4" in done.output
        ids = [row["id"] for row in json.loads(clean.read_text())["annotations"]]
        assert ids == [n for n in range(60) if n != 4]
        leave_out = ["convert", str(source), "-o", str(clean), "--without", str(out)]
        done = run(app, [*leave_out, "--without-least", "1", "--force"])
        assert f"nobody was left out: {out} doubts nobody of {source} by 1 or more" in done.output
        assert len(json.loads(clean.read_text())["annotations"]) == 60
        with pytest.raises(DataError, match="is no file of poise data audit --out"):
            doubtful_ids(source, 0.5)
        (tmp_path / "file").write_text("")
        done = run(app, ["audit", str(source), "--page", str(tmp_path / "file/a.html")])
        assert isinstance(done.exception, DataError)
        assert "cannot write" in str(done.exception)
        assert not done.output
        done = run(app, [*arguments, "--json", "--top", "1"])
        assert json.loads(done.stdout)["findings"][0]["keypoints"] == ["left_knee", "right_knee"]

    @pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz"])
    def test_predictions_of_a_test_are_read(
        self, source: Path, tmp_path: Path, ending: str
    ) -> None:
        people, poses = people_of(60, 2), poses_of(people_of(60, 2))
        file = tmp_path / f"p{ending}"
        writer = PredictionWriter(file, {"meta": dict(META)})
        for n in range(60):
            found = {"keypoints": poses.points[n][None], "keypoint_scores": poses.scores[n][None]}
            sample = {"id": n, "img_id": int(people.image[n]), "pred_instances": found}
            writer.write([sample])
        writer.close()
        labels = gather_people(open_dataset(source))
        assert audit_people(labels, read_poses(labels, file)).findings[0].id == 4

    def test_every_kind_can_be_drawn(self, source: Path, tmp_path: Path) -> None:
        people = gather_people(open_dataset(source))
        people.points[1] = people.points[0] + 1
        people.boxes[6, 3] -= 45
        poses = poses_of(people_of(60, 2))
        for picture, owner in poses.matched.items():
            poses.matched[picture] = np.where(owner == 9, -1, owner)
        audit = audit_people(people, poses, least=0.001)
        kinds = {finding.kind for finding in audit.findings}
        assert {"duplicate", "box cuts", "pair swapped"} <= kinds
        page = write_audit_page(audit, tmp_path / "all.html", top=500)
        assert page.read_text().count("<figure>") == len(audit.findings)
        Path(people.pictures[0]).unlink()
        assert "Without a picture" in write_audit_page(audit, page, top=500).read_text()

    def test_what_fits_nothing_is_said(self, source: Path, tmp_path: Path) -> None:
        people = gather_people(open_dataset(source))
        file = tmp_path / "p.json"
        with pytest.raises(DataError, match="there is no file of predictions"):
            read_poses(people, file)
        file.write_text("{}")
        with pytest.raises(DataError, match="is no COCO result file"):
            read_poses(people, file)
        file.write_text(json.dumps([{"image_id": 999, "keypoints": [1, 2, 1] * 17}]))
        with pytest.raises(DataError, match="has 1 pose, none of which is in a picture"):
            read_poses(people, file)
        file.write_text(json.dumps([{"image_id": 1, "keypoints": [1, 2, 1] * 3}]))
        with pytest.raises(DataError, match="a pose has 3 keypoints, expected 17"):
            read_poses(people, file)
        file.write_text(json.dumps([{"image_id": 1, "keypoints": [1, 2]}]))
        with pytest.raises(DataError, match=r"p\.json: entry 0 cannot be read"):
            read_poses(people, file)
        lines = tmp_path / "p.jsonl"
        lines.write_text("{")
        with pytest.raises(DataError, match="p.jsonl, line 1 is no JSON"):
            read_poses(people, lines)
        lines.write_text(
            '{"instances": [], "image": "a", "keypoint_names": []}\n{"instances": 3}\n'
        )
        with pytest.raises(DataError, match="line 2 is no result of Poise"):
            read_poses(people, lines)


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ("lspet/annotations/lspet_val.json", ("pair swapped", "duplicate")),
        # without a skeleton; faces have their left on one side
        ("face68/annotations/face68_train.json", ("swapped", "pair swapped", "duplicate")),
    ],
)
def test_real_labels_with_planted_faults(shared: Path, source: str, kinds: tuple[str, ...]) -> None:
    people = gather_people(open_dataset(shared / "data" / source))
    measured: dict[str, Any] = measure_audit(people, None, seeds=1)
    assert measured["top"][20]["precision"] >= 0.6
    assert min(measured["kinds"][kind]["recall_twice"] for kind in kinds) >= 0.6


def test_a_model_looks_at_pictures(shared: Path, tmp_path: Path) -> None:
    """The model inside the package finds the second astronaut, whom nobody labelled."""
    photo = cv2.imread(str(shared / "data/photos/astronaut.png"))
    cv2.imwrite(str(tmp_path / "two.png"), np.concatenate([photo, photo], axis=1))
    points = np.zeros((17, 3))
    points[[0, 5, 6]] = [[222, 105, 2], [310, 260, 2], [120, 270, 2]]
    person = {"id": 3, "image_id": 1, "category_id": 1, "iscrowd": 0, "num_keypoints": 3}
    more = {"bbox": [60, 0, 400, 512], "area": 120000, "keypoints": points.ravel().tolist()}
    lost = {**person, **more, "id": 4, "image_id": 2}
    names = [{"id": 1, "name": "person", "keypoints": NAMES, "skeleton": []}]
    images = [
        {"id": n, "file_name": name, "width": 1024, "height": 512}
        for n, name in ((1, "two.png"), (2, "gone.png"))
    ]
    content = {"images": images, "annotations": [person | more, lost], "categories": names}
    (tmp_path / "labels.json").write_text(json.dumps(content))
    audit = audit_labels(open_dataset(tmp_path / "labels.json"), model="movenet-thunder", least=0.0)
    assert audit.facts["pictures that could not be read"] == 1
    assert audit.facts["people with a pose"] == 1
    assert audit.poses.known[0].all()
    assert [f.kind for f in audit.findings if f.image_id == 1].count("missing person") == 1
