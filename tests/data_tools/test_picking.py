"""Frames picked for labelling differ or are doubtful, and never cost labels that there are."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from poise.cli.data import app
from poise.data_tools.formats import read_annotations
from poise.data_tools.formats.reading import Reading
from poise.data_tools.labelling import open_labels
from poise.data_tools.picking import Wishes, pick_frames, shots
from poise.data_tools.picking import picking as whole
from poise.data_tools.picking.choosing import choose
from poise.data_tools.picking.doubts import Candidate, Known, Scale, told
from poise.data_tools.picking.proposals import Proposals, picked_before, write_proposals
from poise.data_tools.picking.shots import Place, Poses
from poise.errors import ArgumentError, DataError
from poise.inference.results.pose_result import PoseResult, SourceInfo, empty_instances
from poise.metrics.prediction_file import PredictionWriter
from poise.structures import InstanceData

av = pytest.importorskip("av")
run = CliRunner().invoke

NAMES = ["nose", "left_hand", "right_hand"]
META = {
    "dataset_name": "imp",
    "num_keypoints": 3,
    "keypoint_id2name": dict(enumerate(NAMES)),
    "keypoint_name2id": {name: k for k, name in enumerate(NAMES)},
    "flip_indices": [0, 2, 1],
    "skeleton_links": [(0, 1), (0, 2)],
    "sigmas": [],
}
FRAMES, WIDTH, HEIGHT = 40, 96, 64
#: frames in which the stand-in of a model is unsure, is at odds with the mirror image, jumps,
#: and finds nobody
UNSURE, MIRRORED, JUMP, NOBODY = 8, 16, 24, 32


def spot(frame: int) -> tuple[int, int]:
    """Middle of the bright square that moves through the video."""
    return 14 + 60 * frame // FRAMES, 20 + 24 * (frame // 10 % 2)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of a square that moves, with the number of each frame as its grey ground."""
    path = tmp_path_factory.mktemp("video") / "clip.mkv"
    film(path, range(FRAMES))
    return path


def film(path: Path, numbers: Iterable[int]) -> None:
    """Write a video of some of the frames."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "bgr0"
        for n in numbers:
            image = np.full((HEIGHT, WIDTH, 3), 40 + 2 * n, np.uint8)
            x, y = spot(n)
            image[y - 6 : y + 6, x - 6 : x + 6] = 255
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="bgr0")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


class StandIn:
    """Finds the square; reads the number of the frame off the ground, and errs where it should."""

    metainfo = META
    needs_boxes = False

    def predict(self, images: Any, **options: Any) -> Iterable[PoseResult]:
        images = [images] if isinstance(images, np.ndarray) else images
        return [self._result(image) for image in images]

    def _result(self, image: np.ndarray) -> PoseResult:
        number = (int(np.median(image[-4:])) - 40) // 2
        mirrored = image[:, :, 0].argmax(axis=1).max() != spot(number)[0] - 6
        x, y = np.argwhere(image[..., 0] == 255)[:, ::-1].mean(axis=0) + 0.5
        points = np.array([[x, y - 4], [x + 5, y + 4], [x - 5, y + 4]])
        if number == JUMP or (number == MIRRORED and mirrored):
            # a jump that the mirror image has, too
            points += (-9, 9) if mirrored and number == JUMP else 9
        if number == NOBODY:
            instances = empty_instances(3)
        else:
            instances = InstanceData(
                keypoints=points[None].astype(np.float32),
                keypoint_scores=np.full((1, 3), 0.2 if number == UNSURE else 0.9, np.float32),
                bboxes=np.array([[x - 8, y - 8, x + 8, y + 8]], np.float32),
                bbox_scores=np.ones(1, np.float32),
            )
        return PoseResult(image, instances, META, "frame")


def numbers(picked: Any) -> list[int]:
    return [candidate.frame for candidate in picked.frames]


def test_what_a_model_doubts_comes_first(clip: Path) -> None:
    picked = pick_frames([str(clip)], StandIn(), Wishes(num=4, by="doubt"))
    assert numbers(picked) == [UNSURE, MIRRORED, JUMP, NOBODY]
    assert [reason.split(" (")[0] for reason in picked.reasons] == [
        "low scores",
        "differs when mirrored",
        "jumps",
        "finds nobody",
    ]
    assert (picked.seen, picked.faults) == (FRAMES, [])
    assert (picked.doubts > 1).all()


def test_without_sides_no_mirror_image_is_asked(clip: Path) -> None:
    model = StandIn()
    model.metainfo = {**META, "flip_indices": [0, 1, 2]}
    picked = pick_frames([str(clip)], model, Wishes(num=3, by="doubt"))
    assert numbers(picked) == [UNSURE, JUMP, NOBODY]
    assert all("mirrored" not in candidate.raw for candidate in picked.frames)


def test_spread_frames_differ(clip: Path) -> None:
    picked = pick_frames([str(clip)], None, Wishes(num=6))
    chosen = numbers(picked)
    assert len(chosen) == 6
    # one from each sixth or so, none beside another
    assert min(np.diff(chosen)) > 1
    assert max(np.diff([0, *chosen, FRAMES])) < 15
    assert set(picked.reasons) == {"unlike the others"}
    again = pick_frames([str(clip)], None, Wishes(num=6))
    assert numbers(again) == chosen


def test_both_takes_the_doubtful_one_of_each_group(clip: Path) -> None:
    picked = pick_frames([str(clip)], StandIn(), Wishes(num=6))
    # two of the four may be of one group
    assert len({UNSURE, MIRRORED, JUMP, NOBODY} & set(numbers(picked))) >= 3
    assert len(picked.frames) == 6


def test_frames_that_look_alike_are_taken_once(tmp_path: Path) -> None:
    for n in range(9):
        picture = np.full((40, 40, 3), 200 if n == 4 else 60 + n % 2, np.uint8)
        cv2.imwrite(str(tmp_path / f"{n}.png"), picture)
    picked = pick_frames([str(tmp_path)], None, Wishes(num=5))
    assert len(picked.frames) == 2
    assert picked.said == ["only 2 of 5: no others are new and look different"]


def test_labelled_frames_are_not_picked_again(clip: Path, tmp_path: Path) -> None:
    first = pick_frames([str(clip)], StandIn(), Wishes(num=5))
    write_proposals(first, tmp_path / "out", Proposals(form="coco"), StandIn())
    labels = tmp_path / "out/labels.json"
    wishes = Wishes(num=5, labelled=labels)
    second = pick_frames([str(clip)], StandIn(), wishes)
    assert not {c.name for c in first.frames} & {c.name for c in second.frames}
    assert second.said[0] == "with labels, or picked before: 5"
    # and by the pictures of an earlier choice
    done = picked_before(tmp_path / "out")
    assert [file.stem for file in done] == [c.name for c in first.frames]
    third = pick_frames([str(clip)], StandIn(), Wishes(num=5, done=done))
    assert not {c.name for c in first.frames} & {c.name for c in third.frames}
    # the labels of other pictures count by what these look like
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for n, file in enumerate(done):
        file.rename(renamed / f"{n}.png")
    fourth = pick_frames([str(clip)], None, Wishes(num=5, done=sorted(renamed.iterdir())))
    looks = {c.frame: c.look.astype(int) for c in first.frames}
    assert all(np.abs(c.look - look).max() > 6 for c in fourth.frames for look in looks.values())


class InDoubt(StandIn):
    """Sees somebody more in every picture, whom it is not sure of."""

    def _result(self, image: np.ndarray) -> PoseResult:
        result = super()._result(image)
        one = result.instances
        if not len(one):
            return result
        twice = {name: np.concatenate([value, value]) for name, value in one.items()}
        twice["keypoint_scores"][0] = 0.1
        return PoseResult(image, InstanceData(**twice), META, "frame")


def test_proposals_have_ids_of_their_own(clip: Path, tmp_path: Path) -> None:
    picked = pick_frames([str(clip)], InDoubt(), Wishes(num=6))
    write_proposals(picked, tmp_path, Proposals(form="coco"), InDoubt())
    people = json.loads((tmp_path / "labels.json").read_text())["annotations"]
    assert len(people) > 2
    assert [person["id"] for person in people] == list(range(1, len(people) + 1))
    # and the page opens them
    assert open_labels(tmp_path).unseen == len(people)


@pytest.mark.parametrize("form", ["labelme", "cvat", "label-studio", "deeplabcut", "sleap", "coco"])
def test_proposals_read_as_labels_once_corrected(form: str, clip: Path, tmp_path: Path) -> None:
    if form == "sleap":
        pytest.importorskip("h5py")
    picked = pick_frames([str(clip)], StandIn(), Wishes(num=6))
    files = write_proposals(picked, tmp_path, Proposals(form=form, model="m"), StandIn())
    assert files[-2:] == [tmp_path / "picked.csv", tmp_path / "sheet.jpg"]
    source = tmp_path if form in ("labelme", "cvat", "deeplabcut") else files[0]
    found = read_annotations(source, Reading(predicted=True))
    assert sorted(found.names) == sorted(NAMES)
    sure = [n for n in numbers(picked) if n not in (UNSURE, NOBODY)]
    names = {i["id"]: Path(i["file_name"]).stem for i in found.images}
    posed = {names[p["image_id"]]: p for p in found.people}
    # what scores low is not labelled, and who is not found neither
    assert sorted(posed) == [f"clip_{n:06d}" for n in sure]
    nose = found.names.index("nose")
    for n in sure:
        x, y = np.array(spot(n)) + (9 if n == JUMP else 0)
        place = posed[f"clip_{n:06d}"]["keypoints"][3 * nose : 3 * nose + 3]
        assert place == pytest.approx([x, y - 4, 2], abs=0.6)
    for image in found.images:
        assert (found.folder or tmp_path).joinpath(image["file_name"]).is_file()
    if form == "cvat":
        images = ET.parse(tmp_path / "annotations.xml").findall("image")
        assert [image.get("name") for image in images] == [f"{c.name}.png" for c in picked.frames]
    again = Proposals(form=form)
    if form == "labelme":
        again.check(tmp_path, [str(clip)])
    else:
        with pytest.raises(DataError, match="is there already, perhaps with what somebody"):
            again.check(tmp_path, [str(clip)])
        Proposals(form=form, replace=True).check(tmp_path, [str(clip)])


def test_pictures_of_a_folder_stay_as_they_are(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for folder, value in (("a", 40), ("b", 200)):
        (source / folder).mkdir(parents=True)
        cv2.imwrite(str(source / folder / "x.jpg"), np.full((30, 30, 3), value, np.uint8))
    picked = pick_frames([str(source)], None, Wishes(num=2))
    write_proposals(picked, tmp_path / "out", Proposals())
    files = {f.name: f.read_bytes() for f in (tmp_path / "out/images").iterdir()}
    # two of one name stay apart
    assert files == {
        "x.jpg": (source / "a/x.jpg").read_bytes(),
        "b_x.jpg": (source / "b/x.jpg").read_bytes(),
    }
    # without a model there is nothing to say of anybody
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == [
        "images",
        "picked.csv",
        "sheet.jpg",
    ]


def test_frames_of_several_videos_are_told_apart(clip, tmp_path, monkeypatch) -> None:
    other = tmp_path / "other.mkv"
    film(other, range(FRAMES, FRAMES + 10))
    said: list[str] = []
    proposals = "poise.data_tools.picking.proposals"

    def keep(tiles, captions, **options):
        said.extend(captions)
        return tiles[0]

    monkeypatch.setattr(f"{proposals}.contact_sheet", keep)
    picked = pick_frames([str(clip)], None, Wishes(num=2))
    files = write_proposals(picked, tmp_path / "one", Proposals())
    assert files[0] == tmp_path / "one/images"
    assert said == [f"{frame.frame}: unlike the others" for frame in picked.frames]
    said.clear()
    picked = pick_frames([str(clip), str(other)], StandIn(), Wishes(num=20))
    files = write_proposals(picked, tmp_path / "two", Proposals(), StandIn())
    assert files[0] == tmp_path / "two/images"
    assert [caption.partition(":")[0] for caption in said] == [f.name for f in picked.frames]


def test_results_of_predict_are_taken_with_the_video_beside(clip: Path, tmp_path: Path) -> None:
    (tmp_path / clip.name).write_bytes(clip.read_bytes())
    model = StandIn()
    lines = []
    for n in range(FRAMES):
        image = np.full((HEIGHT, WIDTH, 3), 40 + 2 * n, np.uint8)
        x, y = spot(n)
        image[y - 6 : y + 6, x - 6 : x + 6] = 255
        (result,) = model.predict(image)
        result.name, result.frame_index, result.time = "gone/clip.mkv", n, n / 10
        lines.append(json.dumps(result.to_dict()) + "\n")
    (tmp_path / "clip.jsonl").write_text("".join(lines))
    picked = pick_frames([str(tmp_path / "clip.jsonl")], None, Wishes(num=3, by="doubt"))
    # nobody saw the mirror image
    assert numbers(picked) == [UNSURE, JUMP, NOBODY]
    write_proposals(picked, tmp_path / "out", Proposals(form="coco"))
    found = read_annotations(tmp_path / "out/labels.json")
    assert (found.names, len(found.people)) == (NAMES, 1)
    wishes = Wishes(num=3, labelled=tmp_path / "out/labels.json")
    again = pick_frames([str(tmp_path / "clip.jsonl")], None, wishes)
    assert all(c.raw["unlike"] < 0.01 for c in again.frames)
    (tmp_path / clip.name).unlink()
    with pytest.raises(DataError, match="neither there nor beside the file; --images"):
        pick_frames([str(tmp_path / "clip.jsonl")])
    with pytest.raises(ArgumentError, match="--model or a file of results"):
        pick_frames([str(tmp_path / "clip.jsonl")], model)


def test_predictions_of_a_metric_are_taken(tmp_path: Path) -> None:
    writer = PredictionWriter(tmp_path / "dump.jsonl", {"meta": META})
    for n, score in enumerate((0.9, 0.2, 0.9)):
        picture = np.random.default_rng(n).integers(0, 255, (40, 60, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{n}.png"), picture)
        for person in range(2):
            points = np.array([[[9, 9], [12, 20], [4, 20]]], np.float32) + 20 * person
            poses = {
                "keypoints": points,
                "keypoint_scores": np.full((1, 3), score, np.float32),
                "bboxes": np.array([[0, 0, 20, 25]], np.float32) + 20 * person,
            }
            # as one trains on another machine
            path = f"/elsewhere/{n}.png"
            writer.write([{"img_id": n, "img_path": path, "pred_instances": poses}])
    writer.close()
    dump = [str(tmp_path / "dump.jsonl")]
    picked = pick_frames(dump, None, Wishes(num=1, by="doubt"))
    assert [c.name for c in picked.frames] == ["1"]
    write_proposals(picked, tmp_path / "out", Proposals(form="coco", threshold=0.1))
    people = read_annotations(tmp_path / "out/labels.json").people
    assert [p["bbox"] for p in people] == [[0, 0, 20, 25], [20, 20, 20, 25]]
    with pytest.raises(DataError, match="neither there nor beside the file"):
        pick_frames(dump, None, Wishes(images=tmp_path / "out"))


def test_coco_files_give_their_pictures_without_labels(own: Callable[..., Path]) -> None:
    path = own()
    content = json.loads(path.read_text())
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] == 1]
    path.write_text(json.dumps(content))
    picked = pick_frames([str(path)])
    assert [c.name for c in picked.frames] == ["2"]
    assert picked.said[0] == "with labels, or picked before: 1"


def test_pictures_of_one_name_in_two_folders_are_two(
    own: Callable[..., Path], tmp_path: Path
) -> None:
    labels = own()
    cv2.imwrite(str(tmp_path / "images/2.png"), np.full((100, 160, 3), 160, np.uint8))
    new = tmp_path / "new"
    new.mkdir()
    for n, value in ((1, 200), (3, 120)):
        cv2.imwrite(str(new / f"{n}.png"), np.full((100, 160, 3), value, np.uint8))
    wishes = Wishes(labelled=labels)
    picked = pick_frames([str(new)], None, wishes)
    assert [c.name for c in picked.frames] == ["1", "3"]
    again = pick_frames([str(new), str(tmp_path / "images")], None, wishes)
    assert [c.name for c in again.frames] == ["1", "3"]
    assert again.said[0] == "with labels, or picked before: 2"
    # where nobody can look, the name counts
    for n in (1, 2):
        (tmp_path / f"images/{n}.png").unlink()
    assert [c.name for c in pick_frames([str(new)], None, wishes).frames] == ["3"]


def test_a_video_that_changes_meanwhile_is_said(clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mkv"
    copy.write_bytes(clip.read_bytes())
    picked = pick_frames([str(copy)], None, Wishes(num=3))
    copy.write_bytes(b"")
    with pytest.raises(DataError, match="could be read once and not again"):
        write_proposals(picked, tmp_path / "out", Proposals())


def test_proposals_have_the_keypoints_of_the_labels(clip: Path, tmp_path: Path) -> None:
    def labels(names: list[str]) -> Path:
        category = {"id": 7, "name": "imp", "keypoints": names}
        person = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 1, 9, 9]}
        content = {
            "images": [{"id": 1, "file_name": "old.png", "width": 96, "height": 64}],
            "annotations": [{**person, "keypoints": [1, 1, 2] * len(names)}],
            "categories": [category],
        }
        (tmp_path / "train.json").write_text(json.dumps(content))
        return tmp_path / "train.json"

    wishes = Wishes(num=2, labelled=labels(["right_hand", "tail", "nose"]))
    picked = pick_frames([str(clip)], StandIn(), wishes)
    write_proposals(picked, tmp_path / "out", Proposals(form="coco"), StandIn())
    content = json.loads((tmp_path / "out/labels.json").read_text())
    assert [(c["name"], c["keypoints"]) for c in content["categories"]] == [
        ("imp", ["right_hand", "tail", "nose"])
    ]
    keypoints = np.array(content["annotations"][0]["keypoints"]).reshape(3, 3)
    assert keypoints[:, 2].tolist() == [2, 0, 2]
    wishes = Wishes(num=2, labelled=labels(["beak", "tail"]))
    with pytest.raises(DataError, match=r"none of the keypoints of .*nose.*beak"):
        pick_frames([str(clip)], StandIn(), wishes)


def test_poses_unlike_the_labelled_ones_are_doubtful() -> None:
    standing = np.array([[0, 0], [5, 10], [-5, 10]], float)
    known = Known.of(np.stack([standing, standing * 2]), np.ones((2, 3), bool), [0, 2, 1])

    def poses(points: np.ndarray) -> Poses:
        one = np.ones((1, 3), np.float32)
        return Poses(points[None].astype(np.float32), np.ones((1, 4)), one, one, one[:, 0])

    # neither place nor size nor side matters
    turned = (standing * (-1, 1))[[0, 2, 1]] * 3 + 50
    assert known.distance(poses(turned)) == pytest.approx(0, abs=1e-4)
    assert known.distance(poses(standing[[1, 0, 2]])) > 0.3


def test_a_long_video_is_thinned(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "MOST_KEPT", 8)
    picked = pick_frames([str(clip)], StandIn(), Wishes(num=4, by="doubt"))
    assert picked.seen == FRAMES
    assert numbers(picked) == [UNSURE, MIRRORED, JUMP, NOBODY]
    half = pick_frames([str(clip)], None, Wishes(num=4, every=2))
    assert (half.seen, {n % 2 for n in numbers(half)}) == (FRAMES // 2, {0})


@pytest.mark.parametrize("told_length", [True, False])
def test_of_a_video_so_many_frames_are_looked_at(
    told_length: bool, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shots, "PER_VIDEO", 8)
    told = "poise.inference.sources.video._length"
    monkeypatch.setattr(told, lambda *_: FRAMES if told_length else 0)
    looked_at = [shot.frame for shot in shots.Shots([str(clip)])]
    # of a length that nobody knows, ever fewer
    steps = [5] * 7 if told_length else [1] * 8 + [2] * 4 + [4] * 4
    assert np.diff(looked_at)[: len(steps)].tolist() == steps
    assert len(looked_at) == (8 if told_length else 17)


def test_nothing_odd_is_no_reason() -> None:
    place = Place("a", SourceInfo("a"), None)
    look = np.zeros((16, 16, 3), np.uint8)
    frames = [Candidate(place, n, None, look, None, {"unsure": 0.2}) for n in range(5)]
    frames[3].raw["unsure"] = 0.9
    doubt, reasons = Scale.of(frames).doubts(frames)
    assert reasons == ["", "", "", "unsure", ""]
    assert doubt.argmax() == 3
    assert told(frames[3], "unsure") == "low scores (0.10)"
    bare = [Candidate(place, 0, None, look)]
    assert Scale.of(bare).doubts(bare)[1] == [""]
    assert choose(frames, doubt, 2, "doubt") == [3]


class TestCommand:
    def test_a_second_round_adds_to_the_first(self, clip: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        first = run(app, ["pick", str(clip), "-n", "4", "-o", str(out)])
        assert first.exit_code == 0, first.output
        assert "4 of 40 frames\n" in first.output
        before = {f: f.read_bytes() for f in (out / "images").iterdir()}
        second = run(app, ["pick", str(clip), "-n", "3", "-o", str(out)])
        assert second.exit_code == 0, second.output
        assert "with labels, or picked before: 4" in second.output
        assert all(f.read_bytes() == content for f, content in before.items())
        assert len(list((out / "images").iterdir())) == 7
        with (out / "picked.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        assert len({row["picture"] for row in rows}) == 7
        assert {row["reason"] for row in rows} == {"unlike the others"}
        assert (out / "sheet_2.jpg").is_file()
        forced = run(app, ["pick", str(clip), "-n", "4", "-o", str(out), "--force"])
        assert forced.exit_code == 0, forced.output
        assert len(list((out / "images").iterdir())) == 7

    def test_a_model_proposes(self, clip: Path, tmp_path: Path) -> None:
        command = ["pick", str(clip), "-m", "movenet-lightning", "--detector", "whole-image"]
        command += ["--every", "8", "-n", "3", "--keypoint-threshold", "0", "--category", "imp"]
        found = run(app, [*command, "-o", str(tmp_path / "out")])
        assert found.exit_code == 0, found.output
        labels = read_annotations(tmp_path / "out/labels.json")
        assert (labels.schema, len(labels.people)) == ("coco", 3)
        assert [c["name"] for c in labels.categories] == ["imp"]
        assert "3 poses proposed, in 3 of 3 frames\n" in found.output

    @pytest.mark.parametrize(
        ("more", "told_"),
        [
            (["--by", "doubt"], "--by doubt needs poses: give --model"),
            (["--by", "luck"], "--by must be one of 'doubt', 'spread', 'both', got 'luck'"),
            (["--to", "labelmi"], "did you mean 'labelme'"),
            (["-n", "0"], "--num is 1 or more, got 0"),
            (["-w", "x.pth"], "--weights belongs to --model"),
            (["--labelled", "gone.json"], "there is no annotation file gone.json"),
        ],
    )
    def test_wrong_wishes_are_said(
        self, more: list[str], told_: str, clip: Path, tmp_path: Path
    ) -> None:
        found = run(app, ["pick", str(clip), "-o", str(tmp_path / "out"), *more])
        assert found.exit_code != 0
        assert told_ in str(found.exception)
        assert not list((tmp_path / "out").glob("*"))

    def test_what_cannot_be_read_is_said(self, clip: Path, tmp_path: Path) -> None:
        broken = tmp_path / "broken.mp4"
        broken.write_bytes(clip.read_bytes()[:200])
        out = ["-o", str(tmp_path / "out")]
        found = run(app, ["pick", str(broken), str(clip), "-n", "2", *out])
        assert found.exit_code == 0, found.output
        assert "skipped: " in found.output
        assert "broken.mp4" in found.output
        alone = run(app, ["pick", str(broken), *out, "--force"])
        assert "there are no frames to pick from: " in str(alone.exception)
        camera = run(app, ["pick", "0", *out, "--force"])
        assert "cannot be gone through twice; record it" in str(camera.exception)
        gone = run(app, ["pick", str(clip), str(tmp_path / "gone.mp4"), *out, "--force"])
        assert "there is no" in str(gone.exception)
        assert "gone.mp4" in str(gone.exception)
