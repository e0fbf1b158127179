"""Small helpers that code written for MMPose imports from its engine, under their old names.

Nothing in Poise uses this package; it exists so that such code needs its imports changed and
nothing else (`poise migrate FILE.py` changes them).
"""

from __future__ import annotations

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "builder": "build_from_cfg",
        "dist": "barrier get_dist_info get_rank get_world_size is_distributed is_main_process "
        "master_only reduce_mean",
        "fileio": "dump exists get get_local_path get_text isdir isfile join_path list_from_file "
        "load",
        "images": "bgr2gray bgr2rgb gray2bgr imflip imfrombytes imread imrescale imresize imwrite "
        "rgb2bgr",
        "logging": "MMLogger get_root_logger print_log",
        "tensors": "to_numpy to_tensor",
        "progress": "ProgressBar track_iter_progress track_parallel_progress track_progress",
        "utils": "check_file_exist digit_version is_abs is_list_of is_seq_of is_str is_tuple_of "
        "mkdir_or_exist register_all_modules to_1tuple to_2tuple to_3tuple to_4tuple to_ntuple",
        "video": "VideoReader",
    },
)
