"""The data sets that COCO's reader reads: a row says what each one does its own way.

To read a data set of your own, subclass `BaseCocoStyleDataset` (or one of these) and set
`METAINFO` and, where its annotations differ from COCO's, `rule`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from poise.datasets.base.coco_style import COCO_RULE, BaseCocoStyleDataset
from poise.datasets.instances import InstanceRule
from poise.registry import DATASETS

__all__ = ["CATALOG", "Row"]


@dataclass(frozen=True)
class Row:
    """One data set: class name, metadata file, what it is, and how it is written.

    Attributes:
        name: class name, as configs write it.
        schema: stem of the metadata file.
        about: what is annotated, and where it was published.
        rule: how annotations are written, if not as COCO's.
        base: class it refines, if not the general reader.
    """

    name: str
    schema: str
    about: str
    rule: InstanceRule | None = None
    base: str = "BaseCocoStyleDataset"


# faces with a centre and a scale instead of a box
FACE = InstanceRule(box="centre_scale", count="field")
# pictures that show one subject and nothing else
SUBJECT = InstanceRule(count="field")

WHOLEBODY = InstanceRule(
    keypoints=("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"),
    count="field",
    extras=("area", "segmentation", "category_id", "raw_ann_info", "no_keypoints_3d"),
    exact=True,
)

CATALOG: tuple[Row, ...] = (
    # bodies
    Row("CocoDataset", "coco", "COCO, 17 body keypoints (Lin et al., ECCV 2014)"),
    Row("AicDataset", "aic", "AI Challenger, 14 body keypoints (Wu et al., 2017)"),
    Row("CrowdPoseDataset", "crowdpose", "CrowdPose, 14 body keypoints (Li et al., CVPR 2019)"),
    Row("OCHumanDataset", "ochuman", "OCHuman, 17 keypoints of hidden people (Zhang, CVPR 2019)"),
    Row("MhpDataset", "mhp", "MHP v2, 16 body keypoints (Zhao et al., ACM MM 2018)"),
    Row("ExlposeDataset", "exlpose", "ExLPose, 14 keypoints in the dark (Lee et al., CVPR 2023)"),
    Row("HumanArtDataset", "humanart", "Human-Art, 17 keypoints in art (Ju et al., CVPR 2023)"),
    Row(
        "HumanArt21Dataset",
        "humanart21",
        "Human-Art, 21 keypoints (Ju et al., CVPR 2023)",
        replace(
            COCO_RULE,
            keypoints=("keypoints_21",),
            extras=("segmentation", "category_id", "raw_ann_info", "crowd_index"),
        ),
        base="HumanArtDataset",
    ),
    Row("PoseTrack18Dataset", "posetrack18", "PoseTrack18, 17 keypoints (Andriluka, CVPR 2018)"),
    Row(
        "JhmdbDataset",
        "jhmdb",
        "JHMDB, 15 keypoints, counted from pixel 1 (Jhuang et al., ICCV 2013)",
        InstanceRule(offset=-1, extras=("box_area", "segmentation", "category_or_1")),
    ),
    # whole bodies
    Row(
        "CocoWholeBodyDataset",
        "coco_wholebody",
        "COCO-WholeBody, 133 keypoints of body, feet, face, hands (Jin et al., ECCV 2020)",
        WHOLEBODY,
    ),
    Row(
        "UBody2dDataset",
        "ubody2d",
        "UBody, 133 keypoints (Lin et al., CVPR 2023)",
        base="CocoWholeBodyDataset",
    ),
    Row("HalpeDataset", "halpe", "Halpe-FullBody, 136 keypoints (Fang et al., TPAMI 2022)"),
    # faces
    Row("Face300WDataset", "300w", "300W, 68 keypoints (Sagonas et al., 2016)", FACE),
    Row("Face300VWDataset", "300vw", "300VW, 68 keypoints in videos (Shen, ICCVW 2015)", FACE),
    Row("Face300WLPDataset", "300wlp", "300W-LP, 68 keypoints in large poses (Zhu, CVPR 2016)"),
    Row("WFLWDataset", "wflw", "WFLW, 98 keypoints (Wu et al., CVPR 2018)", FACE),
    Row(
        "AFLWDataset",
        "aflw",
        "AFLW, 19 keypoints (Koestinger et al., ICCVW 2011)",
        replace(FACE, test_extras=("box_size",)),
    ),
    Row("COFWDataset", "cofw", "COFW, 29 keypoints (Burgos-Artizzu et al., ICCV 2013)"),
    Row("LapaDataset", "lapa", "LaPa, 106 keypoints (Liu et al., AAAI 2020)"),
    Row(
        "CocoWholeBodyFaceDataset",
        "coco_wholebody_face",
        "Faces of COCO-WholeBody, 68 keypoints (Jin et al., ECCV 2020)",
        InstanceRule(keypoints=("face_kpts",), box_field="face_box", flag="face_valid"),
    ),
    # hands
    Row("OneHand10KDataset", "onehand10k", "OneHand10K, 21 keypoints (Wang et al., TCSVT 2019)"),
    Row("Rhd2DDataset", "rhd2d", "Rendered Handpose, 21 keypoints (Zimmermann, ICCV 2017)"),
    Row(
        "FreiHandDataset",
        "freihand2d",
        "FreiHAND, 21 keypoints, pictures of 224 x 224 (Zimmermann et al., ICCV 2019)",
        InstanceRule(box=224, extras=("segmentation",)),
    ),
    Row(
        "PanopticHand2DDataset",
        "panoptic_hand2d",
        "CMU Panoptic hands, 21 keypoints (Simon et al., CVPR 2017)",
        InstanceRule(extras=("segmentation", "head_size")),
    ),
    # clothes
    Row("DeepFashion2Dataset", "deepfashion2", "DeepFashion2, 294 keypoints (Ge, CVPR 2019)"),
    # animals
    Row("AnimalPoseDataset", "animalpose", "Animal-Pose, 20 keypoints (Cao et al., ICCV 2019)"),
    Row("AnimalKingdomDataset", "ak", "Animal Kingdom, 23 keypoints (Ng et al., CVPR 2022)"),
    Row("AP10KDataset", "ap10k", "AP-10K, 17 keypoints (Yu et al., NeurIPS 2021)"),
    Row("ATRWDataset", "atrw", "ATRW, 15 keypoints of tigers (Li et al., ACM MM 2020)"),
    Row("FlyDataset", "fly", "Vinegar Fly, 32 keypoints (Pereira et al., Nat. Methods 2019)"),
    Row("Horse10Dataset", "horse10", "Horse-10, 22 keypoints (Mathis et al., WACV 2021)"),
    Row("MacaqueDataset", "macaque", "MacaquePose, 17 keypoints (Labuguen et al., 2021)"),
    Row(
        "LocustDataset",
        "locust",
        "Desert Locust, 35 keypoints, pictures of 160 x 160 (Graving et al., eLife 2019)",
        replace(SUBJECT, box=160),
    ),
    Row(
        "ZebraDataset",
        "zebra",
        "Grévy's Zebra, 9 keypoints, pictures of 160 x 160 (Graving et al., eLife 2019)",
        replace(SUBJECT, box=160),
    ),
)


def _make(row: Row) -> type[BaseCocoStyleDataset]:
    base = globals()[row.base]
    body: dict[str, Any] = {
        "__doc__": f"{row.about}.\n\n    Arguments are those of `BaseCocoStyleDataset`.\n    ",
        "__module__": __name__,
        "METAINFO": {"from_file": f"configs/_base_/datasets/{row.schema}.py"},
    }
    if row.rule is not None:
        body["rule"] = row.rule
    cls = type(row.name, (base,), body)
    DATASETS.register_module(module=cls)
    return cls


# as attributes of this module, so that the classes can be imported and pickled
for _row in CATALOG:
    globals()[_row.name] = _make(_row)
    __all__.append(_row.name)
del _row
