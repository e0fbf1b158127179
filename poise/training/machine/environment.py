"""`env_cfg` of a config: processes, threads and limits of the machine that a run works with."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import logging
import multiprocessing
import os
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from poise.config.known import check_known
from poise.errors import one_of
from poise.inference.machine.devices import pick_device

__all__ = [
    "apply_environment",
    "describe_environment",
    "distributed_settings",
    "launch_rank",
    "memory_mb",
    "process_group",
    "worker_settings",
]

logger = logging.getLogger("poise")

#: What `env_cfg` and its parts may hold.
_KEYS = {
    "env_cfg": ("cudnn_benchmark", "dist_cfg", "mp_cfg", "resource_limit"),
    "mp_cfg": ("mp_start_method", "opencv_num_threads"),
    "dist_cfg": ("backend", "timeout"),
}
_START_METHODS = ("fork", "spawn", "forkserver")
_LINUX = sys.platform == "linux"
#: Files that a process may have open; workers pass tensors as open files.
_OPEN_FILES = 4096
#: Where torchrun, Lightning's launcher, SLURM and MPI say which process this is.
_RANK_VARIABLES = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")


def apply_environment(env_cfg: Mapping[str, Any] | None) -> None:
    """Set what `env_cfg` says for this process: cudnn, OpenCV's threads, open files.

    Raises:
        ConfigError: a key or start method that does not exist.
    """
    env = env_cfg or {}
    _check(env)
    if env.get("cudnn_benchmark"):
        torch.backends.cudnn.benchmark = True
    threads = (env.get("mp_cfg") or {}).get("opencv_num_threads")
    if threads is not None:
        import cv2

        cv2.setNumThreads(int(threads))
    _allow_open_files(int(env.get("resource_limit", _OPEN_FILES)))


def describe_environment() -> dict[str, str]:
    """What a run works with: versions of packages, the machine, its devices."""
    packages = ("poise", "torch", "torchvision", "lightning", "numpy", "opencv-python-headless")
    found = {"command": shlex.join(sys.argv), "Python": platform.python_version()}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    found |= {"system": platform.platform(), "CPUs": str(os.cpu_count())}
    found["threads"] = str(torch.get_num_threads())
    for i in range(torch.cuda.device_count()):
        found[f"GPU {i}"] = torch.cuda.get_device_name(i)
    return found


def memory_mb() -> int:
    """Memory in MiB: the most that tensors took of the GPU, else what this process has now."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() / 2**20)
    pages = Path("/proc/self/statm")
    if pages.is_file():
        return (
            int(pages.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20
        )
    try:
        import resource
    except ImportError:  # Windows does not say
        return 0
    # other systems than Linux count bytes, and know only the most there was
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**20


def worker_settings(env_cfg: Mapping[str, Any] | None) -> dict[str, Any]:
    """Arguments of a torch loader that has workers: how they are started."""
    method = ((env_cfg or {}).get("mp_cfg") or {}).get("mp_start_method")
    default, *others = multiprocessing.get_all_start_methods()
    if method is not None and method not in (default, *others):
        # nearly all configs say fork, which Windows does not have
        logger.info("mp_start_method='%s' is not of this system: it starts workers its way", method)
        method = None
    chosen = multiprocessing.get_start_method(allow_none=True)
    if method is None and chosen in (None, default) and "fork" in others and _LINUX:
        # the default since Python 3.14 would have to pickle the classes of a notebook
        method = "fork"
    return {} if method is None else {"multiprocessing_context": method}


def distributed_settings(env_cfg: Mapping[str, Any] | None, *, gpu: bool) -> dict[str, Any]:
    """Arguments of Lightning's strategy: backend and patience of the process group.

    Configs name nccl, which works between GPUs only; elsewhere it is left to Lightning.
    """
    settings = (env_cfg or {}).get("dist_cfg") or {}
    made: dict[str, Any] = {}
    backend = settings.get("backend")
    if backend == "nccl" and not gpu:
        logger.info("nccl needs GPUs: the processes talk through gloo")
    elif gpu and sys.platform == "win32" and backend in (None, "nccl"):
        logger.info("nccl is not there on Windows: the processes talk through gloo")
        made["process_group_backend"] = "gloo"
    elif backend is not None:
        made["process_group_backend"] = backend
    if "timeout" in settings:
        made["timeout"] = datetime.timedelta(seconds=float(settings["timeout"]))
    return made


def launch_rank() -> int:
    """Number of this process as its launcher gives it; 0 where there is one process."""
    found = (os.environ.get(name) for name in _RANK_VARIABLES)
    return next((int(value) for value in found if value), 0)


@contextlib.contextmanager
def process_group(
    env_cfg: Mapping[str, Any] | None, device: str | None = None
) -> Iterator[tuple[int, int, torch.device]]:
    """Join the processes that torchrun started, for work that needs no Lightning.

    Args:
        env_cfg: of the config.
        device: as `poise predict` takes it; None or "auto" for the best one. Of several processes
            each has a GPU of its own.

    Yields:
        this process's rank, how many there are, and the device that is its own; without
        torchrun `(0, 1, device)`.

    Raises:
        ArgumentError: a device that is not there.
    """
    world = int(os.environ.get("WORLD_SIZE") or 1)
    chosen = pick_device(device)
    if chosen.type == "mps" and world > 1:
        # there is one of it
        chosen = torch.device("cpu")
    elif chosen.type == "cuda" and chosen.index is None:
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK") or 0))
        torch.cuda.set_device(chosen)
    if dist.is_initialized():
        yield dist.get_rank(), dist.get_world_size(), chosen
        return
    if world == 1:
        yield 0, 1, chosen
        return
    gpu = chosen.type == "cuda"
    settings = distributed_settings(env_cfg, gpu=gpu)
    backend = settings.pop("process_group_backend", "nccl" if gpu else "gloo")
    dist.init_process_group(backend, **settings)
    try:
        yield dist.get_rank(), world, chosen
    finally:
        dist.destroy_process_group()


def _check(env: Mapping[str, Any]) -> None:
    for name, keys in _KEYS.items():
        check_known(env if name == "env_cfg" else env.get(name) or {}, keys, name)
    method = (env.get("mp_cfg") or {}).get("mp_start_method")
    if method is not None:
        one_of(method, _START_METHODS, "mp_start_method")


def _allow_open_files(wanted: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
