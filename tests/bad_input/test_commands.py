"""What wrong commands, devices, folders and pictures say."""

import pytest


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("trin", "cfg.py"), "there is no command 'trin'; did you mean 'train'?"),
        (("train",), "Missing argument"),
        (("train", "cfg.py", "--workdir", "x"), "--work-dir"),
    ],
)
def test_a_wrong_command_shows_the_right_one(project, args, text):
    status, said = project.poise(*args)
    assert status == 2
    assert text in said


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        (("--amp", "fp8"), ["--amp must be one of 'bf16', 'fp16', got 'fp8'"]),
        (("--devices", "two"), ["devices='two'", "--devices a number, a list such as 0,1"]),
        (("--devices", "0"), ["--devices is 1 or more, a list such as 0,1, or auto; got 0"]),
        (("--strategy", "dpp"), ["strategy='dpp'", "--strategy auto, ddp"]),
        (("--accelerator", "gpus"), ["accelerator='gpus'", "`poise doctor` says"]),
    ],
)
def test_wrong_options_of_training_name_what_there_is(project, options, texts):
    text = project.train_fails(*options)
    assert all(t in text for t in texts), text


def test_a_work_folder_that_cannot_be_made_is_named(project):
    text = project.fails("train", "cfg.py", "--work-dir", "data/train.json")
    assert "cannot write to the work folder 'data/train.json': Not a directory" in text
    assert "--work-dir" in text


PICTURE = ("predict", "data/images/1.png")


@pytest.mark.parametrize(
    ("args", "texts"),
    [
        ((*PICTURE, "--model", "rtmpose-tt"), ["neither a config file nor the name of a model"]),
        ((*PICTURE, "--box", "1,2,3"), ["--box takes four numbers x1,y1,x2,y2, got '1,2,3'"]),
        ((*PICTURE, "--box", "1,2,x,4"), ["--box takes four numbers x1,y1,x2,y2, got '1,2,x,4'"]),
        ((*PICTURE, "--device", "gpu"), ["device 'gpu' cannot be used; expected auto, cpu, cuda"]),
        ((*PICTURE, "--device", "mps:7"), ["device 'mps:7' cannot be used"]),
        ((*PICTURE, "--box", "0,0,9,9", "--boxes", "b.json"), ["--box and --boxes both say where"]),
        ((*PICTURE, "--save", "jsn"), ["'html', 'show', got 'jsn'; did you mean 'json'"]),
        ((*PICTURE, "--out", "x" * 300), ["File name too long", "xxx"]),
        ((*PICTURE, "--boxes", "none.json"), ["there is no file of boxes 'none.json'"]),
        ((*PICTURE, "--out", "cfg.py"), ["cannot write below 'cfg.py'"]),
        (("predict", "data/empty"), ["holds no pictures (looked for"]),
    ],
)
def test_wrong_options_of_prediction_are_named(project, args, texts):
    (project.folder / "data" / "empty").mkdir()
    text = project.fails(*args)
    assert all(t in text for t in texts), text


def test_a_bad_picture_is_skipped_once_and_the_others_are_done(project):
    (project.folder / "data" / "images" / "2.png").write_bytes(b"junk")
    status, text = project.poise("predict", "data/images", "--out", "out")
    assert status == 1
    assert text.count("2.png' (4 bytes) is no readable picture") == 1
    assert "3 of 4 pictures" in text


def test_a_missing_picture_is_named(project):
    status, text = project.poise("predict", "nope.jpg", "--out", "out")
    assert status == 1
    assert "there is no picture 'nope.jpg'" in text


def test_a_picture_without_boxes_is_no_error_but_said(project):
    (project.folder / "boxes.json").write_text('{"1.png": []}')
    status, text = project.poise(*PICTURE, "--boxes", "boxes.json", "--out", "out")
    assert status == 0
    assert "1 of 1 picture, 0 poses" in text
    assert "no boxes were given" in text


def test_a_config_without_weights_is_warned_of(project):
    status, text = project.poise(*PICTURE, "--model", "cfg.py", "--out", "out")
    assert status == 0
    assert "used without trained weights, so the poses mean nothing" in text
    assert "--weights FILE.pth" in text


def test_a_folder_called_like_a_picture_is_searched_not_read(project):
    (project.folder / "data" / "images" / "more.jpg").mkdir()
    status, text = project.poise("predict", "data/images", "--out", "out")
    assert status == 0
    assert "4 of 4 pictures" in text
