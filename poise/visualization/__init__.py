"""Pictures of poses: keypoints, links, boxes and heatmaps drawn in place by OpenCV."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "sheets": "contact_sheet",
        "drawing": "draw_boxes draw_instances draw_keypoints",
        "ellipses": "draw_covariances",
        "fields": "draw_heatmaps draw_simcc",
        "openpose": "draw_openpose",
        "scene3d": "View draw_poses_3d",
        "style": "Palette Sizes named_color",
        "visualizer": "FastVisualizer PoseLocalVisualizer",
        "tracks": "Trails draw_tracks id_color",
        "viewer3d": "viewer_page",
        "visualizer_3d": "Pose3dLocalVisualizer",
        "visualizer_boxes": "DetLocalVisualizer",
    },
)
