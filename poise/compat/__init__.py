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
        "dist": "all_gather all_reduce all_reduce_dict barrier broadcast broadcast_object_list "
        "collect_results get_dist_info get_rank get_world_size is_distributed is_main_process "
        "master_only reduce_mean sync_random_seed",
        "fileio": "dump exists get get_local_path get_text isdir isfile join_path list_from_file "
        "load",
        "images": "bgr2gray bgr2rgb gray2bgr imflip imflip_ imfrombytes imread imrescale imresize "
        "imwrite rescale_size rgb2bgr",
        "logging": "MMLogger get_root_logger print_log",
        "models": "CheckpointLoader filter_scores_and_topk find_latest_checkpoint "
        "is_model_wrapper revert_sync_batchnorm stack_batch weights_to_cpu",
        "progress": "ProgressBar track_iter_progress track_parallel_progress track_progress",
        "scopes": "DefaultScope",
        "tensors": "to_numpy to_tensor",
        "utils": "check_file_exist digit_version is_abs is_list_of is_method_overridden is_seq_of "
        "is_str is_tuple_of mkdir_or_exist register_all_modules scandir to_1tuple to_2tuple "
        "to_3tuple to_4tuple to_ntuple",
        "video": "VideoReader",
    },
)
