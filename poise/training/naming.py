"""How texts call the place of a run and the samples of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["position_of", "sample_names"]


def position_of(runner: Any) -> str:
    """The batch that a training is at, counted from 1."""
    return f"epoch {runner.epoch + 1}, iteration {runner.iter + 1}"


def sample_names(batch: Any) -> list[str]:
    """What tells the samples of a batch: annotation ids, or paths of their pictures."""
    samples: Sequence[Any] = batch.get("data_samples", []) if isinstance(batch, Mapping) else []
    names = []
    for sample in samples:
        meta = getattr(sample, "metainfo", {})
        parts = [f"{k} {meta[k]}" for k in ("id", "img_id", "img_path") if meta.get(k) is not None]
        names.append(" ".join(parts) or "unnamed")
    return names
