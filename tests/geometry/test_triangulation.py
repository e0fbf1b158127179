"""Cameras as OpenCV has them, and points of space from several of them."""

import itertools

import cv2
import numpy as np
import pytest

from poise.errors import DataError
from poise.geometry import Camera, Triangulated, distort, triangulate_points, undistort

#: Lenses by name: coefficients, and whether they are a fisheye's.
LENSES = {
    "pinhole": ([], False),
    "four": ([-0.3, 0.1, 0.001, -0.002], False),
    "five": ([-0.3, 0.1, 0.001, -0.002, 0.02], False),
    "rational": ([0.1, -0.2, 0.001, 0.002, 0.02, 0.3, -0.1, 0.01], False),
    "prism": ([0.1, -0.2, 0.001, 0.002, 0, 0, 0, 0, 0.001, 0.002, -0.001, 0.0005], False),
    "fisheye": ([-0.02, 0.01, -0.003, 0.001], True),
}


def ring(views, lens="five", radius=4.0):
    """Cameras on a circle that look at the point one metre above the middle; z is up."""
    coefficients, fisheye = LENSES[lens]
    cameras = []
    for v in range(views):
        angle = 2 * np.pi * v / views + 0.1
        place = np.array([radius * np.cos(angle), radius * np.sin(angle), 1.5 + 0.3 * (v % 2)])
        z = np.array([0, 0, 1]) - place
        z /= np.linalg.norm(z)
        x = np.cross(z, [0, 0, 1])
        x /= np.linalg.norm(x)
        rotation = np.stack((x, np.cross(z, x), z))
        matrix = [[1000 + 10 * v, 0, 640], [0, 1010, 360], [0, 0, 1]]
        cameras.append(
            Camera(
                f"cam{v}", matrix, coefficients, rotation, -rotation @ place, (1280, 720), fisheye
            )
        )
    return cameras


def cloud(*shape, seed=0):
    return np.random.default_rng(seed).uniform((-0.8, -0.8, 0.2), (0.8, 0.8, 1.8), (*shape, 3))


def seen_by(cameras, points):
    return np.stack([camera.project(points) for camera in cameras])


def distance(a, b):
    return np.sqrt(((a - b) ** 2).sum(-1))


@pytest.mark.parametrize("lens", LENSES)
def test_projection_is_that_of_opencv(lens):
    camera = ring(3, lens)[1]
    points = cloud(100)
    project = cv2.fisheye.projectPoints if camera.fisheye else cv2.projectPoints
    expected, _ = project(
        points.reshape(-1, 1, 3),
        camera.rodrigues,
        camera.translation,
        camera.matrix,
        # OpenCV's fisheye wants four numbers, its other model takes none for an ideal pinhole
        camera.distortion,
    )
    np.testing.assert_allclose(camera.project(points), expected.reshape(-1, 2), atol=1e-8)


@pytest.mark.parametrize("lens", LENSES)
def test_undistortion_inverts_distortion(lens):
    coefficients, fisheye = LENSES[lens]
    coefficients = np.array(coefficients)
    flat = np.random.default_rng(0).uniform(-0.6, 0.6, (5, 200, 2))
    there = distort(flat, coefficients, fisheye=fisheye)
    np.testing.assert_allclose(undistort(there, coefficients, fisheye=fisheye), flat, atol=1e-7)


def test_undistortion_is_that_of_opencv():
    camera = ring(3)[0]
    pixels = np.random.default_rng(0).uniform((440, 260), (840, 460), (50, 2))
    expected = cv2.undistortPoints(pixels[:, None], camera.matrix, camera.distortion)
    # OpenCV takes five steps of a slower method
    np.testing.assert_allclose(camera.undistort(pixels), expected[:, 0], atol=1e-6)


def test_a_pixel_that_no_ray_reaches_is_nan():
    # with k1 = -0.5 no ray comes farther than 0.544 focal lengths from the middle
    flat = undistort(np.array([[0.3, 0.0], [0.7, 0.0], [np.nan, 0.0]]), np.array([-0.5, 0, 0, 0]))
    assert np.isfinite(flat).all(-1).tolist() == [True, False, False]
    wide = undistort(np.array([[0.5, 0.0], [2.0, 0.0]]), np.zeros(4), fisheye=True)
    assert np.isfinite(wide).all(-1).tolist() == [True, False]


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("views", [2, 3, 5])
@pytest.mark.parametrize("lens", LENSES)
def test_points_come_back_exactly_without_noise(lens, views, steps):
    cameras, points = ring(views, lens), cloud(4, 3, 17)
    found = triangulate_points(seen_by(cameras, points), cameras, steps=steps)
    np.testing.assert_allclose(found.points, points, atol=1e-7)
    assert found.points.shape == (4, 3, 17, 3)
    assert found.errors.shape == found.used.shape == (views, 4, 3, 17)
    assert np.nanmax(found.errors) < 1e-4
    assert found.used.all()
    assert (found.status == Triangulated.FOUND).all()


def test_the_linear_solution_is_that_of_opencv():
    cameras, points = ring(2, "pinhole"), cloud(500)
    pixels = seen_by(cameras, points)
    matrices = [c.matrix @ np.c_[c.rotation, c.translation] for c in cameras]
    four = cv2.triangulatePoints(*matrices, pixels[0].T, pixels[1].T)
    found = triangulate_points(pixels, cameras, steps=0).points
    np.testing.assert_allclose(found, (four[:3] / four[3]).T, atol=1e-9)


def test_steps_lessen_the_reprojection_error():
    cameras, points = ring(4), cloud(2000)
    pixels = seen_by(cameras, points) + np.random.default_rng(1).normal(0, 4, (4, 2000, 2))
    linear, refined = (triangulate_points(pixels, cameras, steps=s) for s in (0, 3))
    assert (refined.errors**2).sum() < (linear.errors**2).sum()
    assert distance(refined.points, points).mean() < distance(linear.points, points).mean()


@pytest.mark.parametrize("noise", [0.5, 2.0, 6.0])
def test_errors_are_as_large_as_the_theory_says(noise):
    cameras, points = ring(4), cloud(4000)
    rng = np.random.default_rng(2)
    pixels = seen_by(cameras, points) + rng.normal(0, noise, (4, 4000, 2))
    found = triangulate_points(pixels, cameras)
    expected = noise**2 * np.trace(found.covariances, axis1=-2, axis2=-1).mean()
    assert (distance(found.points, points) ** 2).mean() == pytest.approx(expected, rel=0.1)
    # two coordinates of four views, less the three of the point
    squares = (found.errors**2).sum() / (4 * 2 - 3) / 4000
    assert squares == pytest.approx(noise**2, rel=0.1)


def test_more_views_are_more_exact():
    errors = []
    for views in (2, 4, 8):
        cameras, points = ring(views), cloud(2000)
        noise = np.random.default_rng(3).normal(0, 2, (views, 2000, 2))
        found = triangulate_points(seen_by(cameras, points) + noise, cameras)
        errors.append(distance(found.points, points).mean())
    assert errors[0] > 1.3 * errors[1] > 1.3 * 1.3 * errors[2]


def test_a_view_with_a_low_score_counts_less():
    cameras, points = ring(3), cloud(1000)
    pixels = seen_by(cameras, points)
    pixels[1] += np.random.default_rng(4).normal(0, 10, (1000, 2))
    scores = np.ones((3, 1000))
    scores[1] = 0.1
    plain, weighted = (triangulate_points(pixels, cameras, scores=s) for s in (None, scores))
    assert 5 * distance(weighted.points, points).mean() < distance(plain.points, points).mean()


def test_covariances_weigh_each_direction():
    cameras, points = ring(3), cloud(3000)
    rng = np.random.default_rng(5)
    # the second view knows its x badly and its y well
    spread = np.broadcast_to(np.eye(2), (3, 3000, 2, 2)).copy()
    spread[1] = [[400, 0], [0, 0.25]]
    noise = np.einsum("vnij,vnj->vni", np.sqrt(spread), rng.normal(size=(3, 3000, 2)))
    pixels = seen_by(cameras, points) + noise
    plain = triangulate_points(pixels, cameras)
    weighted = triangulate_points(pixels, cameras, covariances=spread)
    truth = distance(weighted.points, points)
    assert 2 * truth.mean() < distance(plain.points, points).mean()
    expected = np.trace(weighted.covariances, axis1=-2, axis2=-1).mean()
    assert (truth**2).mean() == pytest.approx(expected, rel=0.1)


def test_a_covariance_that_is_none_leaves_the_view_out():
    cameras, points = ring(3), cloud(2)
    spread = np.broadcast_to(np.eye(2), (3, 2, 2, 2)).copy()
    spread[0, 0], spread[1, 1] = np.nan, [[1, 2], [2, 1]]
    found = triangulate_points(seen_by(cameras, points), cameras, covariances=spread)
    assert found.used.T.tolist() == [[False, True, True], [True, False, True]]
    np.testing.assert_allclose(found.points, points, atol=1e-7)


@pytest.mark.parametrize("views", [3, 4, 6])
def test_the_view_that_is_wrong_is_left_out(views):
    cameras, points = ring(views), cloud(200)
    rng = np.random.default_rng(6)
    pixels = seen_by(cameras, points) + rng.normal(0, 1, (views, 200, 2))
    wrong = rng.integers(0, views, 200)
    turn = rng.uniform(0, 2 * np.pi, 200)
    pixels[wrong, np.arange(200)] += 90 * np.stack((np.cos(turn), np.sin(turn)), -1)
    found = triangulate_points(pixels, cameras, max_error=15)
    hit = found.rejected[wrong, np.arange(200)]
    # along its epipolar line a wrong keypoint of three views may look right
    assert hit.mean() > (0.9 if views == 3 else 0.99)
    assert (found.rejected.sum(0)[hit] == 1).all()
    assert (found.errors[wrong, np.arange(200)][hit] > 15).all()
    assert np.median(distance(found.points, points)) < 0.006
    unchecked = triangulate_points(pixels, cameras)
    assert 5 * np.median(distance(found.points, points)) < np.median(
        distance(unchecked.points, points)
    )
    assert not unchecked.rejected.any()


def test_two_of_six_wrong_views_are_left_out():
    cameras, points = ring(6), cloud(100)
    pixels = seen_by(cameras, points)
    pixels[1] += [70, -60]
    pixels[4] += [-80, 50]
    found = triangulate_points(pixels, cameras, max_error=10)
    assert found.used[[0, 2, 3, 5]].all()
    assert found.rejected[[1, 4]].all()
    np.testing.assert_allclose(found.points, points, atol=1e-7)


def test_two_views_that_disagree_give_nothing():
    cameras, points = ring(3), cloud(1)
    pixels = seen_by(cameras, points)
    pixels[1, 0, 1] += 200
    pixels[2] = np.nan
    found = triangulate_points(pixels, cameras, max_error=15)
    assert found.status.tolist() == [Triangulated.VIEWS_DISAGREE]
    assert np.isnan(found.points).all()
    assert np.isnan(found.errors).all()
    assert not found.used.any()


def test_missing_views_and_low_scores_are_counted():
    cameras, points = ring(4), cloud(4)
    pixels = seen_by(cameras, points)
    scores = np.ones((4, 4))
    pixels[1:, 0] = np.nan  # one view only
    scores[:2, 1] = 0.1  # two remain
    pixels[:, 2] = np.nan  # nobody
    found = triangulate_points(pixels, cameras, scores=scores, min_score=0.3)
    assert found.used.sum(0).tolist() == [0, 2, 0, 4]
    assert found.status.tolist() == [
        Triangulated.TOO_FEW_VIEWS,
        Triangulated.FOUND,
        Triangulated.TOO_FEW_VIEWS,
        Triangulated.FOUND,
    ]
    np.testing.assert_allclose(found.points[[1, 3]], points[[1, 3]], atol=1e-7)
    assert np.isnan(found.points[[0, 2]]).all()
    three = triangulate_points(pixels, cameras, scores=scores, min_score=0.3, min_views=3)
    assert three.status[1] == Triangulated.TOO_FEW_VIEWS


def test_rays_that_meet_behind_a_camera_give_nothing():
    # both look along y, a metre apart; where their rays part, they meet behind
    turn = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    matrix = [[1000, 0, 640], [0, 1000, 360], [0, 0, 1]]
    pair = [
        Camera(name, matrix, rotation=turn, translation=[x, 0, 0])
        for name, x in (("left", 0.5), ("right", -0.5))
    ]
    pixels = np.array([[[540.0, 360]], [[740.0, 360]]])
    for limit in (None, 15):
        found = triangulate_points(pixels, pair, max_error=limit)
        assert found.status.tolist() == [Triangulated.VIEWS_DISAGREE]
        assert np.isnan(found.points).all()
    np.testing.assert_allclose(
        triangulate_points(pixels[::-1], pair).points, [[0, 5, 0]], atol=1e-7
    )
    assert np.isnan(pair[0].project([0, -5, 0])).all()


def test_parallel_rays_give_nothing():
    camera = ring(2)[0]
    found = triangulate_points(np.full((2, 1, 2), 300.0), [camera, camera])
    assert found.status.tolist() == [Triangulated.VIEWS_DISAGREE]


def test_the_order_of_views_and_many_points_change_nothing():
    cameras, points = ring(4), cloud(60_000)
    pixels = seen_by(cameras, points) + np.random.default_rng(7).normal(0, 3, (4, 60_000, 2))
    whole = triangulate_points(pixels, cameras, max_error=10)
    order = [2, 0, 3, 1]
    turned = triangulate_points(pixels[order], [cameras[i] for i in order], max_error=10)
    np.testing.assert_allclose(turned.points, whole.points, atol=1e-6)
    last = triangulate_points(pixels[:, -5:], cameras, max_error=10)
    np.testing.assert_allclose(last.points, whole.points[-5:], atol=1e-12)


def test_nobody_is_no_error():
    cameras = ring(2)
    found = triangulate_points(np.zeros((2, 0, 17, 2)), cameras, max_error=5)
    assert found.points.shape == (0, 17, 3)


def test_a_camera_follows_the_size_of_the_pictures():
    camera = ring(2)[0]
    half = camera.scaled((640, 360))
    points = cloud(10)
    np.testing.assert_allclose(half.project(points), (camera.project(points) + 0.5) / 2 - 0.5)
    with pytest.raises(DataError, match="1280 x 720, and these are 640 x 480"):
        camera.scaled((640, 480))


def test_bad_cameras_are_refused_by_name():
    good = {"matrix": np.diag([900, 900, 1.0])}
    turn = np.diag([1, 1, -1.0])
    cases = [
        ({"matrix": np.eye(4)}, "matrix has the shape (3, 3), got (4, 4)"),
        ({"matrix": np.diag([-900, 900, 1])}, "focal lengths above 0"),
        ({"rotation": np.eye(3) * 1.1}, "not at right angles or not of length 1"),
        ({"rotation": turn}, "mirrors"),
        ({"rotation": np.eye(3)[:2]}, "rotation has the shape (3, 3), got (2, 3)"),
        ({"distortion": [1, 2, 3]}, "0, 4, 5, 8, 12 distortion coefficients, got 3"),
        ({"distortion": [0.1] * 5, "fisheye": True}, "fisheye lens has 0, 4 distortion"),
        ({"translation": [1, 2]}, "translation has the shape (3,), got (2,)"),
        ({"translation": [1, np.nan, 2]}, "not finite"),
        ({"translation": ["a", 1, 2]}, "something else than numbers"),
    ]
    for wrong, text in cases:
        with pytest.raises(DataError) as caught:
            Camera("left", **{**good, **wrong})
        assert "camera 'left'" in str(caught.value)
        assert text in str(caught.value)


def test_bad_input_says_what_was_expected():
    cameras = ring(3)
    pixels = np.zeros((3, 5, 2))
    cases = [
        ((pixels[:2], cameras), {}, "have the shape (3, ..., 2), got (2, 5, 2)"),
        ((pixels[..., :1], cameras), {}, "got (3, 5, 1)"),
        ((pixels[:1], cameras[:1]), {}, "at least two cameras, got 1"),
        ((pixels, cameras), {"scores": np.ones((3, 4))}, "shape (3, 5), got (3, 4)"),
        ((pixels, cameras), {"covariances": np.ones((3, 5, 2))}, "(3, 5, 2, 2), got (3, 5, 2)"),
        ((pixels, cameras), {"min_views": 1}, "2 to the number of cameras, 3; got 1"),
        ((pixels, cameras), {"min_views": 4}, "got 4"),
        ((pixels, cameras), {"max_error": 0}, "a number of pixels above 0, or None; got 0"),
    ]
    for arguments, options, text in cases:
        with pytest.raises(DataError) as caught:
            triangulate_points(*arguments, **options)
        assert text in str(caught.value)
    with pytest.raises(DataError, match=r"points have the shape \(\.\.\., 3\), got \(4, 2\)"):
        cameras[0].project(np.zeros((4, 2)))


def test_all_pairs_of_three_views_give_the_same_points():
    cameras, points = ring(3), cloud(20)
    pixels = seen_by(cameras, points)
    for pair in itertools.combinations(range(3), 2):
        hidden = pixels.copy()
        hidden[[v for v in range(3) if v not in pair]] = np.nan
        found = triangulate_points(hidden, cameras)
        np.testing.assert_allclose(found.points, points, atol=1e-7)


@pytest.mark.parametrize(
    ("lens", "fisheye"),
    [
        ([-0.3, 0.05, 0, 0], False),
        ([0.1, -0.2, 0, 0, 0.02, 0.3, -0.1, 0.01], False),
        ([0.1, -0.3, 0.02, 0], True),
        ([-0.2, 0.05, 0, 0], False),
    ],
)
def test_a_lens_shows_nothing_beyond_its_reach(lens, fisheye):
    """Where the radius in the picture falls again, points came to lie over nearer ones."""
    camera = Camera("a", [[700, 0, 640], [0, 700, 360], [0, 0, 1]], lens, fisheye=fisheye)
    radius = np.linspace(0, 8, 20001)[1:]
    bent = distort(np.stack((radius, 0 * radius), -1), np.array(lens), fisheye=fisheye)[:, 0]
    falls = np.flatnonzero(np.diff(bent) < 0)
    reach = radius[falls[0]] if len(falls) else np.inf
    seen = camera.project(np.stack((radius, 0 * radius, np.ones_like(radius)), -1))
    assert np.isfinite(seen[radius < 0.999 * reach]).all()
    assert np.isnan(seen[radius > 1.001 * reach]).all()
    back = camera.undistort(seen[radius < 0.99 * reach])
    np.testing.assert_allclose(back[:, 0], radius[radius < 0.99 * reach], atol=1e-5)


def test_resized_pictures_may_be_off_by_a_rounded_side_and_no_more():
    camera = Camera("a", np.diag([1500.0, 1500, 1]), size=(1920, 1080))
    for size in ((1280, 720), (854, 480), (426, 240), (500, 281)):
        assert camera.scaled(size).size == size
    assert camera.fitted(None) is camera
    # eight lines of padding are no smaller picture
    for size in ((1920, 1088), (1920, 1072), (1440, 1080)):
        with pytest.raises(DataError, match="a part was cut off"):
            camera.fitted(size)
