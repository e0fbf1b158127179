"""Pictures of boards as virtual cameras take them."""

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from poise.inference.multiview.boards import Board

#: Pixels of a square of the drawn board, and white squares around it.
_SQUARE, _MARGIN = 40, 1


def texture(board: Board):
    """The board drawn flat, with a white margin; its pixels a metre are known."""
    columns, rows = board.columns + 1, board.rows + 1
    if board.marker is not None:
        drawn = board.pattern().generateImage((columns * _SQUARE, rows * _SQUARE))
    else:
        y, x = np.mgrid[: rows * _SQUARE, : columns * _SQUARE] // _SQUARE
        drawn = np.where((x + y) % 2 == 0, 0, 255).astype(np.uint8)
    edge = _MARGIN * _SQUARE
    return cv2.copyMakeBorder(drawn, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=255)


def board_poses(count, seed=0):
    """Rotations and places of a board that is waved about near the world's middle, face up."""
    rng = np.random.default_rng(seed)
    flip = np.diag([1.0, -1.0, -1.0])
    poses = [(flip, np.array([-0.2, 0.15, 0.0]))]
    while len(poses) < count:
        turn = Rotation.from_rotvec(rng.uniform(-0.4, 0.4, 3)).as_matrix()
        poses.append((turn @ flip, rng.uniform((-0.33, 0.02, -0.05), (-0.07, 0.28, 0.15))))
    return poses


def rays_of(camera):
    """(H, W, 3) float32 rays of a camera's pixels in the world."""
    width, height = camera.size
    flat = camera.undistort(np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1))
    rays = np.concatenate((flat, np.ones_like(flat[..., :1])), -1) @ camera.rotation
    return rays.astype(np.float32)


def picture_of(board, pose, camera, rays, drawn):
    """(H, W) uint8 of the board at a pose (rotation, place) in the world."""
    turn, place = pose
    start = (camera.center - place) @ turn
    ways = rays @ turn.astype(np.float32)
    along = np.float32(-start[2]) / ways[..., 2:]
    hit = start[:2].astype(np.float32) + along * ways[..., :2]
    # corner 0 is one square in from the board's edge; pixel centres are whole numbers
    at = (hit / np.float32(board.square) + 1 + _MARGIN) * _SQUARE - np.float32(0.5)
    return cv2.remap(
        drawn, at[..., 0].copy(), at[..., 1].copy(), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT, borderValue=128,
    )  # fmt: skip


def shoot(folder, cameras, board, poses):
    """Write each camera's pictures into a folder of its name; returns the folders."""
    drawn = texture(board)
    for camera in cameras:
        place = folder / camera.name
        place.mkdir(parents=True)
        rays = rays_of(camera)
        for number, pose in enumerate(poses):
            picture = picture_of(board, pose, camera, rays, drawn)
            cv2.imwrite(str(place / f"{number:03d}.png"), cv2.GaussianBlur(picture, (3, 3), 0))
    return [folder / camera.name for camera in cameras]
