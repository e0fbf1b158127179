"""The steps that codecs are made of, under MMPose's names; each does all keypoints at once."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "camera_image_projection": "camera_to_image_coord camera_to_pixel pixel_to_camera",
        "gaussian_heatmap": "generate_gaussian_heatmaps generate_instance_heatmaps "
        "generate_udp_gaussian_heatmaps generate_unbiased_gaussian_heatmaps",
        "instance_property": "get_diagonal_lengths get_instance_bbox get_instance_root",
        "offset_heatmap": "generate_displacement_heatmap generate_offset_heatmap",
        "post_processing": "batch_heatmap_nms gaussian_blur gaussian_blur1d "
        "get_heatmap_3d_maximum get_heatmap_maximum get_simcc_maximum get_simcc_normalized",
        "refinement": "refine_keypoints refine_keypoints_dark refine_keypoints_dark_udp "
        "refine_simcc_dark",
        "volume_heatmap": "generate_3d_gaussian_heatmaps",
    },
)
