"""Human3.6M as lifting recipes use it: its files, and the statistics of its poses."""

from __future__ import annotations

from poise.zoo.parts.assembly import Tree

__all__ = ["ROOT", "dataset", "statistics"]

ROOT = "data/h36m/"

#: statistics of Human3.6M: mean and deviation of 16 joints relative to the root, in metres
_TARGET_MEAN = """
    -0.000255652589 -0.0071196057 -0.000981433052
    -0.00565463051 0.319636009 0.0719329269
    -0.010170584 0.691147892 0.155352986
    0.000255651315 0.00711954606 0.000981423866
    -0.0050972978 0.327040413 0.0722258095
    -0.00999656606 0.708277383 0.158016408
    0.00290583676 -0.211363307 -0.0474210915
    0.00567537804 -0.435088906 -0.0976974016
    0.00593884964 -0.49189197 -0.110666618
    0.00737352083 -0.583948619 -0.1311714
    0.00541920653 -0.383931702 -0.0868145417
    0.00295964662 -0.187567488 -0.0434536934
    0.00126585822 -0.120170579 -0.0282526049
    0.00467186639 -0.383644089 -0.0855125784
    0.00167648571 -0.197007177 -0.0431368364
    0.000870569015 -0.168664569 -0.0373902498
"""
_TARGET_STD = """
    0.11072244 0.02238818 0.07246294
    0.15856311 0.18933832 0.20880479
    0.19179935 0.24320062 0.24756193
    0.11072181 0.02238805 0.07246253
    0.15880454 0.19977188 0.2147063
    0.18001944 0.25052739 0.24853247
    0.05210694 0.05211406 0.06908241
    0.09515367 0.10133032 0.12899733
    0.11742458 0.12648469 0.16465091
    0.12360297 0.13085539 0.16433336
    0.14602232 0.09707956 0.13952731
    0.24347532 0.12982249 0.20230181
    0.2446877 0.21501816 0.23938235
    0.13876084 0.1008926 0.1424411
    0.23687529 0.14491219 0.20980829
    0.24400695 0.23975028 0.25520584
"""
#: and of 17 keypoints in the picture, in pixels
_KEYPOINTS_MEAN = """
    532.08351635 419.74137558
    531.80953144 418.2607141
    530.68456967 493.54259285
    529.36968722 575.96448516
    532.29767646 421.28483336
    531.93946631 494.72186795
    529.71984447 578.96110365
    532.93699382 370.65225054
    534.1101856 317.90342311
    534.55416813 304.24143901
    534.86955004 282.31030885
    534.11308566 330.11296796
    533.53637525 376.2742511
    533.49380107 391.72324565
    533.52579142 330.09494668
    532.50804964 374.190479
    532.72786934 380.61615716
"""
_KEYPOINTS_STD = """
    107.73640054 63.35908715
    119.00836213 64.1215443
    119.12412107 50.53806215
    120.61688045 56.38444891
    101.95735275 62.89636486
    106.24832897 48.41178119
    108.46734966 54.58177071
    109.07369806 68.70443672
    111.20130351 74.87287863
    111.63203838 77.80542514
    113.22330788 79.90670556
    105.7145833 73.27049436
    107.05804267 73.93175781
    107.97449418 83.30391802
    121.60675105 74.25691526
    134.34378973 77.48125087
    131.79990652 89.86721124
"""


def statistics() -> Tree:
    """Means and deviations as the codec of SimpleBaseline3D takes them."""
    return dict(
        target_mean=(_rows(_TARGET_MEAN),),
        target_std=_rows(_TARGET_STD),
        keypoints_mean=(_rows(_KEYPOINTS_MEAN),),
        keypoints_std=_rows(_KEYPOINTS_STD),
    )


def _rows(table: str) -> list[list[float]]:
    return [[float(number) for number in line.split()] for line in table.strip().splitlines()]


def dataset(
    part: str,
    pipeline: list[Tree],
    settings: Tree,
    *,
    variant: str = "",
    test_mode: bool = True,
) -> Tree:
    """Dataset config.

    Args:
        part: "train" or "test".
        pipeline: its transforms.
        settings: sequence length, source of the 2D keypoints ...
        variant: "_original" for the poses as the cameras saw them.
        test_mode: say that it is a test.
    """
    tree = dict(
        type="Human36mDataset",
        ann_file=f"annotation_body3d/fps50/h36m_{part}{variant}.npz",
        **settings,
        data_root=ROOT,
        data_prefix=dict(img="images/"),
        pipeline=pipeline,
    )
    return tree | dict(test_mode=True) if part == "test" and test_mode else tree
