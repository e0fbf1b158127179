"""Where each registered name of the kind `visualizers` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {
        "poise.visualization.visualizer": "PoseLocalVisualizer",
        "poise.visualization.visualizer_3d": "Pose3dLocalVisualizer",
    },
    "mmdet": {
        "poise.visualization.visualizer_boxes": "DetLocalVisualizer",
    },
}
