"""Hands."""

from __future__ import annotations

from poise.schemas.parts import HAND_SIGMAS, hand, hand_links
from poise.schemas.schema import Schema

__all__ = ["SCHEMAS"]

SCHEMAS: dict[str, Schema] = {
    "coco_wholebody_hand": Schema(
        "coco_wholebody_hand",
        "coco_wholebody",
        points=hand(),
        links=hand_links(),
        sigmas=HAND_SIGMAS,
    ),
    "freihand2d": Schema("freihand", "freihand2d", points=hand(), links=hand_links()),
    "interhand2d": Schema(
        "interhand2d",
        "interhand2d",
        points=hand(tips_first=True, root_last=True),
        links=hand_links(),
    ),
    "interhand3d": Schema(
        "interhand3d",
        "interhand2d",
        points=hand("right_", "right_wrist", tips_first=True, root_last=True)
        + hand("left_", "left_wrist", tips_first=True, root_last=True),
        links=hand_links("right_", "right_wrist") + hand_links("left_", "left_wrist"),
    ),
    "onehand10k": Schema("onehand10k", "onehand10k", points=hand(), links=hand_links()),
    "panoptic_hand2d": Schema(
        "panoptic_hand2d",
        "panoptic_hand2d",
        points=hand(),
        links=hand_links(),
    ),
    "rhd2d": Schema("rhd2d", "rhd2d", points=hand(tips_first=True), links=hand_links()),
}
