"""Numbers of keypoints: of a schema, a data set, a head, a checkpoint; equal or explained."""

import pytest

OWN = (
    ("data_root = 'data/'", "META = dict(from_file='meta.py')\ndata_root = 'data/'"),
    ("type='CocoDataset', ", "type='CocoDataset', metainfo=META, "),
)
MIXTURE = """dict(
        type='CombinedDataset', metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
        datasets=[dict(
            type='CocoDataset', metainfo=META, data_root=data_root, data_mode='topdown',
            ann_file='train.json', data_prefix=dict(img='images/'), pipeline=[dict(
                type='KeypointConverter', num_keypoints=NUMBER,
                mapping=[(i, i) for i in range(14)])])],
        pipeline=train_pipeline)"""
TRAIN_SET = """dict(
        type='CocoDataset', data_root=data_root, data_mode='topdown', ann_file='train.json',
        data_prefix=dict(img='images/'), pipeline=train_pipeline)"""


def fourteen(project, annotations, schema, **faults):
    """Annotations and metadata of 14 keypoints."""
    project.annotate(annotations(14))
    (project.folder / "meta.py").write_text(schema(14, **faults))


def test_a_head_of_17_and_data_of_14_name_both_places(project, annotations, schema):
    fourteen(project, annotations, schema)
    project.config(*OWN)
    text = project.train_fails("--no-validate")
    assert "HeatmapHead(out_channels=17) predicts 17 channels" in text
    assert "the targets encoded from toy have 14" in text
    assert "Set out_channels to the dataset's number of keypoints" in text
    head, data = project.line("out_channels=17"), project.line("metainfo=META")
    assert f"head: out_channels=17 ({project.folder}/cfg.py, line {head})" in text
    assert "train_dataloader.dataset: metainfo from_file='meta.py'" in text
    assert f"cfg.py, line {data})" in text


def test_a_test_names_both_places_too(project, annotations, schema, save):
    fourteen(project, annotations, schema)
    project.config(*OWN)
    text = project.fails("test", "cfg.py", save())
    assert "the head predicts heatmaps for 17 keypoints" in text
    assert "head: out_channels=17" in text
    assert "test_dataloader.dataset: metainfo from_file='meta.py'" in text


def test_a_head_of_as_many_keypoints_trains(project, annotations, schema):
    fourteen(project, annotations, schema)
    project.config(*OWN, ("out_channels=17", "out_channels=14"))
    status, text = project.train()
    assert status == 0, text


@pytest.mark.parametrize("number", [17, 16])
def test_counts_are_compared_after_the_converter(project, annotations, schema, number):
    fourteen(project, annotations, schema)
    mixture = (TRAIN_SET, MIXTURE.replace("NUMBER", str(number)))
    # a flip would see the wrong number first, but it is drawn at random
    project.config(OWN[0], mixture, ("    dict(type='RandomFlip', direction='horizontal'),\n", ""))
    status, text = project.train("--no-validate")
    assert (status == 0) == (number == 17), text
    if number == 16:
        assert "predicts 17 channels, but the targets encoded from toy have 16" in text
        assert "head: out_channels=17" in text


def test_annotations_of_another_schema_are_refused(project, annotations):
    project.annotate(annotations(14))
    text = project.train_fails()
    assert "annotation 1: 42 numbers in `keypoints`, expected 51 (17 keypoints" in text
    assert "is `metainfo` that of this file?" in text


@pytest.mark.parametrize(
    ("faults", "texts"),
    [
        (
            {"swaps": {0: "k1", 1: "k2"}},
            ["keypoint 'k0' swaps with 'k1', but 'k1' swaps with 'k2'", "set swap='k0' there"],
        ),
        ({"swaps": {0: "k99"}}, ["'swap' of keypoint 0 'k0' names 'k99', which does not exist"]),
        ({"sigmas": 17}, ["'sigmas' has 17 numbers for 14 keypoints; give one each, or none"]),
    ],
)
def test_faults_of_the_users_metadata_name_file_and_remedy(
    project, annotations, schema, faults, texts
):
    fourteen(project, annotations, schema, **faults)
    project.config(*OWN)
    text = project.train_fails()
    assert f"{project.folder}/meta.py, line 1" in text
    assert all(t in text for t in texts), text


def test_missing_metadata_is_not_mistaken_for_missing_data(project, annotations):
    project.config(*OWN)
    text = project.train_fails()
    assert "keypoint metadata 'meta.py' is neither a file" in text
    assert "data_root=FOLDER" not in text


UNION_MODEL = """shift_heatmap=True, output_keypoint_indices=list(range(17))),
    metainfo=dict(from_file='configs/_base_/datasets/coco_aic.py')"""
UNION = (
    ("out_channels=17", "out_channels=19"),
    ("shift_heatmap=True)", UNION_MODEL),
)


def test_a_head_of_a_union_may_be_tested_on_one_of_its_data_sets(project, save):
    project.config(*UNION)
    meta = {"dataset_meta": {"dataset_name": "coco_aic", "num_keypoints": 19}}
    status, text = project.poise("test", "cfg.py", save(out_channels=19, meta=meta))
    assert status == 0, text
    assert "coco/AP" in text


def test_an_unexplained_union_is_told_of_the_setting(project, save):
    project.config(UNION[0])
    meta = {"dataset_meta": {"dataset_name": "coco_aic", "num_keypoints": 19}}
    text = project.fails("test", "cfg.py", save(out_channels=19, meta=meta))
    assert "w.pth was trained for 19 keypoints (dataset coco_aic), the test data has 17" in text
    assert "model.test_cfg.output_keypoint_indices" in text
