"""Pictures from everywhere become (H, W, 3) uint8 BGR."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from poise.errors import DataError, FileMissingError
from poise.inference.sources import open_sources
from poise.inference.sources.pictures import Picture, list_pictures, read_picture, to_bgr

RED = np.zeros((4, 6, 3), np.uint8)
RED[..., 2] = 255


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "inner").mkdir()
    for name in ("b.png", "a.jpg", "inner/c.png"):
        cv2.imwrite(str(tmp_path / name), RED)
    (tmp_path / "notes.txt").write_text("x")
    return tmp_path


def test_folder_is_searched_whole_and_in_order(folder):
    found = [p.relative.as_posix() for p in list_pictures(folder)]
    assert found == ["a.jpg", "b.png", "inner/c.png"]


def test_pattern_lists_what_matches(folder):
    assert [p.relative.name for p in list_pictures(f"{folder}/*.png")] == ["b.png"]


def test_list_may_mix_paths_and_arrays(folder):
    pictures = list(list_pictures([folder / "a.jpg", RED]))
    assert [p.name for p in pictures] == [str(folder / "a.jpg"), "array-1"]


def test_empty_folder_is_an_error(tmp_path):
    with pytest.raises(FileMissingError, match="holds no pictures"):
        list(list_pictures(tmp_path))


def test_pattern_without_match_is_an_error(tmp_path):
    with pytest.raises(FileMissingError, match="no file matches"):
        list(list_pictures(f"{tmp_path}/*.png"))


def test_other_kinds_of_input_are_refused():
    with pytest.raises(DataError, match="input 0 is a int; give a path"):
        list(list_pictures(3))


def test_missing_picture_is_named_with_the_folder():
    with pytest.raises(FileMissingError, match="no picture 'nowhere.jpg' .looked in"):
        read_picture(Picture("nowhere.jpg", Path("nowhere.jpg"), Path("nowhere.jpg")))


@pytest.mark.parametrize(("raw", "text"), [(b"", "is empty"), (b"JUNK", r"\(4 bytes\) is no")])
def test_broken_picture_is_named(tmp_path, raw, text):
    path = tmp_path / "x.jpg"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=text):
        read_picture(Picture(str(path), path, Path("x.jpg")))


def test_gray_and_alpha_and_16_bit_become_bgr():
    assert to_bgr(RED[..., 2]).shape == (4, 6, 3)
    assert (to_bgr(np.dstack([RED, RED[..., 2]])) == RED).all()
    assert (to_bgr(RED.astype(np.uint16) * 257) == RED).all()


def test_pil_image_of_any_mode_becomes_bgr():
    image_module = pytest.importorskip("PIL.Image")
    image = image_module.fromarray(RED[..., ::-1])
    assert (to_bgr(image) == RED).all()
    assert to_bgr(image.convert("CMYK")).shape == RED.shape
    deep = np.arange(16, dtype=np.uint16).reshape(4, 4) * 4096
    assert (to_bgr(image_module.fromarray(deep)) == to_bgr(deep)).all()
    assert (to_bgr(image_module.fromarray(deep.astype(np.int32))) == to_bgr(deep)).all()


def test_float_picture_is_refused_with_the_conversion():
    with pytest.raises(DataError, match=r"got float32.*\(255 \* x\)"):
        to_bgr(np.zeros((4, 4, 3), np.float32))


@pytest.mark.parametrize(
    ("shape", "hint"),
    [((2, 4, 6, 3), r"list\(x\)"), ((3, 4, 6), r"x\.transpose\(1, 2, 0\)"), ((4, 6, 5), r"5\)$")],
)
def test_an_array_of_another_shape_is_told_with_what_mends_it(shape, hint):
    with pytest.raises(DataError, match=hint):
        to_bgr(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("item", "hint"), [(torch.zeros(3, 4, 6), r"x\.permute"), (b"JFIF", r"cv2\.imdecode")]
)
def test_what_stands_for_a_picture_is_told_with_how_it_becomes_one(item, hint):
    with pytest.raises(DataError, match=hint):
        list(list_pictures(item))


def test_exif_orientation_is_followed(tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    image = image_module.fromarray(np.zeros((4, 6, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    image.save(path, exif=exif)
    assert read_picture(Picture(str(path), path, Path("turned.jpg"))).shape == (6, 4, 3)


def test_a_file_that_claims_too_many_pixels_is_named(tmp_path):
    path = tmp_path / "bomb.png"
    _, png = cv2.imencode(".png", RED)
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(
        png[:12].tobytes() + header + struct.pack(">I", zlib.crc32(header)) + png[33:].tobytes()
    )
    with pytest.raises(DataError, match="bomb.png' cannot be decoded"):
        read_picture(next(list_pictures(path)))


def test_a_file_that_may_not_be_read_is_no_end_of_the_run(tmp_path, monkeypatch):
    path = tmp_path / "mine.png"
    cv2.imwrite(str(path), RED)

    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match="cannot read .*mine.png': Permission denied"):
        read_picture(next(list_pictures(path)))


def test_a_missing_folder_and_a_dash_are_named(tmp_path):
    with pytest.raises(FileMissingError, match="there is no file or folder"):
        read_picture(next(list_pictures(tmp_path / "photoz")))
    with pytest.raises(DataError, match="'-' is no input"):
        list(open_sources("-"))


def test_folders_that_links_lead_to_are_searched_once(tmp_path):
    outside, folder = tmp_path / "elsewhere", tmp_path / "mine"
    for place in (outside, folder):
        place.mkdir()
        (place / "a.png").write_bytes(b"")
        # what macOS puts beside a picture on other systems
        (place / "._a.png").write_bytes(b"")
    (folder / "link").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    (outside / "back").symlink_to(folder)
    found = [picture.relative.as_posix() for picture in list_pictures(folder)]
    assert found == ["a.png", "link/a.png"]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.heic", b"\0\0\0\x18ftypheic" + bytes(20), "is a HEIC picture; save it as JPEG or PNG"),
        ("a.jpg", b"%PDF-1.4 ...", "is a PDF; save it"),
        ("a.jpg", b"version https://git-lfs.github.com/spec/v1", "`git lfs pull` brings"),
        ("a.jpg", b"<!doctype html>", "is HTML or XML"),
        ("a.jpg", b"x", r"\(1 bytes\) is no readable picture"),
        ("a.jpg", b"", "is empty"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, name, content, text):
    (tmp_path / name).write_bytes(content)
    (picture,) = list_pictures(tmp_path)
    with pytest.raises(DataError, match=text):
        read_picture(picture)


def test_an_iterator_may_fill_the_same_array_again():
    def reused():
        array = np.empty((4, 6, 3), np.uint8)
        for level in range(5):
            array[:] = level
            yield array

    images = [frame.image for s in open_sources(reused()) for frame in s.frames()]
    assert [int(image.max()) for image in images] == [0, 1, 2, 3, 4]
    # those of a list are there anyway
    assert next(next(open_sources([RED])).frames()).image is RED
