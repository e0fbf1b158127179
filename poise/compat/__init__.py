"""Small helpers that code written for MMPose imports from its engine, under their old names.

Nothing in Poise uses this package; it exists so that such code needs its imports changed and
nothing else (`poise migrate FILE.py` changes them).
"""

from __future__ import annotations

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "dist": "barrier get_dist_info get_rank get_world_size is_distributed is_main_process "
        "master_only reduce_mean",
        "fileio": "dump exists get_local_path isdir isfile join_path list_from_file load",
        "logging": "MMLogger get_root_logger print_log",
        "tensors": "to_numpy to_tensor",
        "utils": "check_file_exist digit_version is_abs is_list_of is_seq_of is_str is_tuple_of "
        "mkdir_or_exist register_all_modules to_1tuple to_2tuple to_3tuple to_4tuple to_ntuple "
        "track_iter_progress",
    },
)
