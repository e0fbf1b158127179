from __future__ import annotations

import pickle
import socket
import warnings

import cv2
import numpy as np
import pytest

from poise.errors import ArgumentError, DataError, FileMissingError
from poise.transforms import Compose, LoadImage, LoadImageFromFile


@pytest.fixture
def file(tmp_path, picture):
    path = tmp_path / "pictüre.png"
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    return path


def test_a_picture_is_read_with_its_shape(file, picture):
    results = LoadImage()({"img_path": str(file)})
    np.testing.assert_array_equal(results["img"], picture)
    assert results["img"].dtype == np.uint8
    assert results["img_shape"] == results["ori_shape"] == (48, 64)


def test_a_path_object_will_do(file):
    assert LoadImage()({"img_path": file})["img_shape"] == (48, 64)


def test_to_float32(file):
    assert LoadImage(to_float32=True)({"img_path": file})["img"].dtype == np.float32


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
@pytest.mark.parametrize(("color_type", "shape"), [("color", (48, 64, 3)), ("grayscale", (48, 64))])
def test_backends_agree(file, backend, color_type, shape):
    image = LoadImage(color_type=color_type, imdecode_backend=backend)({"img_path": file})["img"]
    assert image.shape == shape
    expected = LoadImage(color_type=color_type)({"img_path": file})["img"]
    assert np.abs(image.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_unchanged_keeps_alpha_in_bgr_order(tmp_path, backend):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 4), dtype=np.uint8)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), pixels)
    step = LoadImage(color_type="unchanged", imdecode_backend=backend)
    np.testing.assert_array_equal(step({"img_path": path})["img"], pixels)


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
@pytest.mark.parametrize(
    ("color_type", "turned"), [("color", True), ("color_ignore_orientation", False)]
)
def test_exif_orientation_is_followed(tmp_path, picture, backend, color_type, turned):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    path = tmp_path / "turned.jpg"
    Image.fromarray(picture[..., ::-1]).save(path, exif=exif, quality=100)
    step = LoadImage(color_type=color_type, imdecode_backend=backend)
    assert step({"img_path": path})["img_shape"] == ((64, 48) if turned else (48, 64))


def test_a_given_picture_is_taken_as_it_is(picture):
    results = LoadImage()({"img": picture})
    assert results["img"] is picture
    assert results["img_path"] is None
    assert results["img_shape"] == results["ori_shape"] == (48, 64)


def test_a_given_picture_keeps_its_path_and_becomes_float(picture):
    results = LoadImage(to_float32=True)({"img": picture, "img_path": "x"})
    assert results["img_path"] == "x"
    assert results["img"].dtype == np.float32


def test_the_mmcv_class_reads_the_file_even_so(file, picture):
    results = LoadImageFromFile()({"img": picture[:4], "img_path": file})
    assert results["img_shape"] == (48, 64)


def test_a_missing_file_is_named():
    with pytest.raises(FileMissingError, match=r"nowhere\.jpg.*does not exist.*data_root"):
        LoadImage()({"img_path": "nowhere.jpg"})
    with pytest.raises(FileNotFoundError):
        LoadImage()({"img_path": "nowhere.jpg"})


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
@pytest.mark.parametrize("content", [b"", b"this is not a picture"])
def test_an_unreadable_file_is_named(tmp_path, content, backend):
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"picture '.*broken\.jpg' cannot be read: .*bytes"):
        LoadImage(imdecode_backend=backend)({"img_path": path})


@pytest.mark.parametrize("name", ["nowhere.jpg", "broken.jpg"])
def test_ignore_empty_drops_the_sample(tmp_path, name):
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    assert LoadImage(ignore_empty=True)({"img_path": tmp_path / name}) is None


@pytest.mark.parametrize("thing", [[1, 2], "img.jpg", np.zeros(3)])
def test_something_else_than_a_picture_is_refused(thing):
    with pytest.raises(DataError, match=r"results\['img'\] must be a numpy array"):
        LoadImage()({"img": thing})


@pytest.mark.parametrize("args", [{"backend": "local"}, {"backend": "disk"}, None])
def test_local_backends_are_accepted(file, args):
    assert LoadImage(backend_args=args)({"img_path": file}) is not None


def test_storage_backends_are_refused_when_used():
    step = LoadImage(backend_args={"backend": "petrel"})
    with pytest.raises(DataError, match="petrel.*mount the storage"):
        step({"img_path": "s3://bucket/a.jpg"})


def test_file_client_args_are_the_old_name(file):
    with pytest.warns(DeprecationWarning, match="backend_args"):
        step = LoadImage(file_client_args={"backend": "disk"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert step({"img_path": file}) is not None
    with pytest.raises(DataError, match="old name of backend_args"):
        LoadImage(file_client_args={}, backend_args={})


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"color_type": "colour"}, "color_type must be one of.*'colour'.*did you mean 'color'"),
        ({"imdecode_backend": "cv3"}, "imdecode_backend must be one of.*did you mean 'cv2'"),
    ],
)
def test_unknown_options_are_refused(kwargs, text):
    with pytest.raises(ArgumentError, match=text):
        LoadImage(**kwargs)


def test_decoded_pictures_are_remembered(tmp_path, picture):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        cv2.imwrite(str(path), picture)
    step = LoadImage(keep_decoded=2)
    for path in (paths[0], str(paths[0]), paths[1], paths[0], paths[2]):
        np.testing.assert_array_equal(step({"img_path": path})["img"], picture)
    assert list(step._decoded) == [str(paths[0]), str(paths[2])]
    paths[0].unlink()
    np.testing.assert_array_equal(step({"img_path": paths[0]})["img"], picture)
    assert len(pickle.loads(pickle.dumps(step))._decoded) == 0


def test_remembered_pictures_cannot_be_spoiled(file, picture):
    step = LoadImage(keep_decoded=1)
    for _ in range(3):
        image = step({"img_path": file})["img"]
        np.testing.assert_array_equal(image, picture)
        image[:] = 0


def test_nothing_is_remembered_unless_asked(file):
    step = LoadImage()
    step({"img_path": file})
    assert step._decoded == {}


def test_a_training_pipeline_runs_on_remembered_pictures(file, picture, person):
    pipeline = Compose(
        [
            dict(type="LoadImage", keep_decoded=1),
            dict(type="GetBBoxCenterScale"),
            dict(type="YOLOXHSVRandomAug"),
            dict(type="PhotometricDistortion"),
            dict(type="Albumentation", transforms=[dict(type="CoarseDropout", p=1.0)]),
            dict(type="RandomFlip", prob=0.5),
            dict(type="TopdownAffine", input_size=(24, 32)),
            dict(type="PackPoseInputs"),
        ]
    )
    for _ in range(5):
        sample = person()
        del sample["img"]
        pipeline(sample | {"img_path": file})
    pack = Compose([pipeline.transforms[0], dict(type="PackPoseInputs")])
    np.testing.assert_array_equal(
        pack({"img_path": file})["inputs"].permute(1, 2, 0).numpy(), picture
    )


def test_picture_of_an_address_that_does_not_answer():
    # nobody listens on the port of a closed socket
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/a.jpg"
    with pytest.raises(DataError, match=f"cannot fetch '{address}'"):
        LoadImage()({"img_path": address})
