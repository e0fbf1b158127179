"""Findings as pictures: the label beside what speaks against it, on one page."""

from __future__ import annotations

import html
from pathlib import Path

import cv2
import numpy as np

from poise._files import writing
from poise.data_tools.audit.findings import KINDS, Audit, Finding
from poise.data_tools.audit.poses3d import Poses3D
from poise.data_tools.stick_figures import draw_stick_figure
from poise.report.page import document, fact_table, gallery, section, write_html
from poise.report.pictures import SIDE, cut_out, side_by_side
from poise.transforms.image import stored_image
from poise.visualization import draw_keypoints

__all__ = ["draw_finding", "write_audit_page"]

_RING, _RING_RADIUS = (255, 0, 255), 9
_BOX = (255, 255, 255)


def write_audit_page(audit: Audit, path: Path, top: int = 50) -> Path:
    """Write an HTML file that needs nothing else.

    Args:
        audit: of `audit_labels`.
        path: the file.
        top: findings to draw.

    Raises:
        DataError: it cannot be written.
    """
    chosen = audit.findings[:top]
    cases = [(draw_finding(audit, finding), _caption(finding)) for finding in chosen]
    drawn = [(jpeg, caption) for jpeg, caption in cases if jpeg is not None]
    absent = [caption for jpeg, caption in cases if jpeg is None]
    title = "Labels to look at"
    about = (
        "The likeliest faults first. Left the label; right what speaks against it: the model's "
        "pose, or the other label. Rings are around the keypoints concerned. 3D poses are shown "
        "from the front and the side, between those before and after, framed. The number is how "
        "sure the finding is, from 0 to 1."
    )
    counts = {f"{kind}: {KINDS[kind]}": count for kind, count in audit.counts.items()}
    text = document(
        title,
        [
            f"<h1>{title}</h1>",
            fact_table(audit.facts),
            section("Findings", fact_table(counts) or "<p>none</p>"),
            section(f"The first {len(chosen)}", gallery(drawn, about)),
            section("Without a picture", _listed(absent)),
        ],
    )
    with writing(path):
        return write_html(text, path)


def _listed(captions: list[str]) -> str:
    items = "".join(f"<li>{html.escape(caption)}</li>" for caption in captions)
    return f"<ul>{items}</ul>" if items else ""


def _caption(finding: Finding) -> str:
    who = f"Annotation {finding.id}, " if finding.id is not None else ""
    names = f" ({', '.join(finding.keypoints)})" if finding.keypoints else ""
    place = "/".join(Path(finding.picture).parts[-2:])
    return f"{finding.sure:.2f} {finding.kind}{names}: {finding.about}. {who}{place}"


def draw_finding(audit: Audit, finding: Finding) -> bytes | None:
    """JPEG of a finding, or None where the picture cannot be read.

    Args:
        audit: that it is of.
        finding: one of its findings.
    """
    if audit.spatial is not None:
        return _draw_in_space(audit.spatial, finding)
    people, poses = audit.people, audit.poses
    picture = stored_image(finding.picture)
    if picture is None:
        return None
    missing = np.asarray(finding.pose, np.float64) if finding.pose is not None else None
    if missing is not None:
        members = people.in_picture(people.pictures.index(finding.picture))
        box = _around(missing, np.ones(len(missing), bool))
    else:
        members = np.array([finding.person])
        shown = people.points[finding.person][people.seen[finding.person]]
        box = _around(np.concatenate([shown, people.boxes[finding.person].reshape(2, 2)]), None)
    half, corner, scale = cut_out(picture, box)
    halves = [half, half.copy()]
    _draw(halves[0], people.points[members], people.seen[members], corner, scale, people.metainfo)
    if missing is not None:
        seen = (missing != 0).any(axis=-1)[None]
        _draw(halves[1], missing[None], seen, corner, scale, people.metainfo)
    elif finding.kind == "duplicate":
        others = people.in_picture(int(people.image[finding.person]))
        others = others[others != finding.person]
        _draw(halves[1], people.points[others], people.seen[others], corner, scale, people.metainfo)
    elif poses is not None:
        known = poses.known[members] & (people.seen[members] | (poses.scores[members] > 0))
        found = np.nan_to_num(poses.points[members])
        _draw(halves[1], found, known, corner, scale, people.metainfo)
    else:
        halves = halves[:1]
    if finding.person >= 0:
        _mark(audit, finding, halves[0], corner, scale)
    return side_by_side(halves)


def _draw_in_space(poses: Poses3D, finding: Finding) -> bytes | None:
    """Stick figures of the pose before, the pose itself and the one after."""
    near = (poses.before[finding.person], finding.person, poses.after[finding.person])
    shown = [int(pose) for pose in near if pose >= 0]
    figures = [
        draw_stick_figure(
            poses.points[pose][None],
            poses.seen[pose][None],
            metainfo=poses.metainfo,
            size=(SIDE, SIDE),
        )
        for pose in shown
    ]
    own = figures[shown.index(finding.person)]
    cv2.rectangle(own, (0, 0), (own.shape[1] - 1, own.shape[0] - 1), _RING, 2)
    return side_by_side(figures)


def _around(points: np.ndarray, seen: np.ndarray | None) -> np.ndarray:
    """(4,) box around points."""
    chosen = points if seen is None else points[seen & (points != 0).any(axis=-1)]
    return np.concatenate([chosen.min(axis=0), chosen.max(axis=0)])


def _draw(
    half: np.ndarray,
    points: np.ndarray,
    seen: np.ndarray,
    corner: np.ndarray,
    scale: float,
    metainfo: dict[str, object],
) -> None:
    draw_keypoints(half, (points - corner) * scale, seen.astype(float), metainfo=metainfo)


def _mark(
    audit: Audit, finding: Finding, half: np.ndarray, corner: np.ndarray, scale: float
) -> None:
    """Rings around the keypoints concerned, and the box where it is the fault."""
    people = audit.people
    for name in finding.keypoints:
        k = people.names.index(name)
        if people.seen[finding.person, k]:
            x, y = np.round((people.points[finding.person, k] - corner) * scale).astype(int)
            cv2.circle(half, (int(x), int(y)), _RING_RADIUS, _RING, 1, cv2.LINE_AA)
    if finding.kind.startswith("box"):
        edges = (people.boxes[finding.person].reshape(2, 2) - corner) * scale
        (left, top), (right, bottom) = np.round(edges).astype(int).tolist()
        cv2.rectangle(half, (left, top), (right, bottom), _BOX, 1)
