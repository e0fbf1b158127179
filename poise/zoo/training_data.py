"""What a released model was trained on, and whether the terms of that data limit its use.

In general terms, and no legal advice: the terms of a data set are those of its own page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from poise.zoo.index import Model

__all__ = ["LICENCE", "licence_note", "licence_of_network", "training_data"]

#: of recipes and released weights
LICENCE = "Apache-2.0"

#: (backbone, its architecture) of others' networks, and the licence of the weights that were
#: released for them
_OTHERS = (
    (
        re.compile(r"Sapiens2 .*"),
        "Meta's weights have the Sapiens2 License, which forbids biometry and other uses",
    ),
    (
        re.compile(r"\S* (sapiens_)?(0\.3|0\.6|1|2)b"),
        "Meta's released weights of Sapiens are CC-BY-NC-4.0: not for commercial use",
    ),
)

_BODY7 = "COCO, AI Challenger, CrowdPose, MPII, JHMDB, Halpe, PoseTrack18"
_FACES = "WFLW, 300W, COFW, LaPa"
#: part of a model's name -> its data; the first that occurs counts
_DATA = {
    "movenet": "COCO, Active (Google's own)",
    "cocktail14": f"{_BODY7}, COCO-WholeBody, Human-Art, UBody, {_FACES}, InterHand2.6M",
    "body7-crowdpose": _BODY7,
    "body7": _BODY7,
    "body8": _BODY7,
    "face6": f"COCO-WholeBody, {_FACES}, Halpe",
    "hand5": "COCO-WholeBody, OneHand10K, FreiHAND, RHD, Halpe",
    "ubody": "COCO-WholeBody, UBody",
    "coco-aic": "COCO, AI Challenger",
    "aic-coco": "COCO, AI Challenger",
    "coco-wholebody": "COCO-WholeBody",
    "crowdpose": "CrowdPose",
    "crowpose": "CrowdPose",
    "humanart": "Human-Art, COCO",
    "posetrack18": "PoseTrack18, COCO",
    "exlpose": "ExLPose",
    "jhmdb": "JHMDB",
    "mpii": "MPII",
    "aic": "AI Challenger",
    "h36m": "Human3.6M",
    "interhand3d": "InterHand2.6M",
    "300wlp": "300W-LP",
    "300w": "300W",
    "wflw": "WFLW",
    "aflw": "AFLW",
    "cofw": "COFW",
    "lapa": "LaPa",
    # as the names spell it
    "deepfasion2": "DeepFashion2",
    "deepfashion": "DeepFashion",
    "freihand": "FreiHAND",
    "onehand10k": "OneHand10K",
    "rhd": "RHD",
    "ap10k": "AP-10K",
    "animalpose": "Animal-Pose",
    "animalkingdom": "Animal Kingdom",
    "locust": "Desert Locust",
    "zebra": "Grevy's Zebra",
    "hand": "OneHand10K",
    "coco": "COCO",
}
#: end of a detector's name -> its data; those of hands and faces say nothing about it
_DETECTORS = {"coco": ("COCO",), "coco-person": ("COCO", "Objects365")}

#: data whose authors give it for research, or for use without profit, only
_RESEARCH_ONLY = frozenset(
    {
        "300W",
        "300W-LP",
        "AFLW",
        "AI Challenger",
        "Animal Kingdom",
        "COCO-WholeBody",
        "COFW",
        "CrowdPose",
        "DeepFashion",
        "DeepFashion2",
        "FreiHAND",
        "Halpe",
        "Human-Art",
        "Human3.6M",
        "InterHand2.6M",
        "JHMDB",
        "LaPa",
        "MPII",
        "OneHand10K",
        "PoseTrack18",
        "RHD",
        "UBody",
        "WFLW",
    }
)


def training_data(model: Model) -> tuple[str, ...]:
    """Names of the data sets that a model was trained on, without what its backbone started from.

    Example:
        >>> from poise.zoo import find_model
        >>> training_data(find_model("face"))[:3]
        ('COCO-WholeBody', 'WFLW', '300W')
    """
    if model.is_detector:
        return _DETECTORS.get(model.name.rpartition("_")[2], ())
    name = model.name.lower()
    found = next((data for part, data in _DATA.items() if re.search(rf"(^|[-_]){part}", name)), "")
    return tuple(filter(None, found.split(", ")))


def licence_note(model: Model) -> str:
    """Licence of a model's weights, and which of its data limit their use.

    Example:
        >>> from poise.zoo import find_model
        >>> licence_note(find_model("animal"))
        'Apache-2.0 for code and weights; trained on AP-10K, whose own terms apply to the data'
    """
    data = training_data(model)
    limited = [name for name in data if name in _RESEARCH_ONLY]
    if not data:
        return f"{LICENCE} for code and weights; the terms of the training data apply to it"
    note = f"{LICENCE} for code and weights; trained on {', '.join(data)}, "
    if limited:
        whose = "which is" if len(data) == 1 else f"of which {', '.join(limited)}"
        verb = "" if len(data) == 1 else " is" if len(limited) == 1 else " are"
        return f"{note}{whose}{verb} given for research only: read the terms before commercial use"
    return f"{note}whose own terms apply to the data"


def licence_of_network(config: Mapping[str, Any] | None) -> str | None:
    """Licence of the weights that go with a config, where they are others' and limited.

    Example:
        >>> licence_of_network({"model": {"backbone": {"arch": "sapiens_1b"}}})[-27:]
        '4.0: not for commercial use'
        >>> licence_of_network({"model": {"backbone": {"arch": "base"}}}) is None
        True
    """
    backbone = ((config or {}).get("model") or {}).get("backbone") or {}
    kind = str(backbone.get("type")).rpartition(".")[2]
    named = f"{kind} {backbone.get('arch')}"
    return next((note for names, note in _OTHERS if names.fullmatch(named)), None)
