"""Optimizer state in the form of MMEngine's checkpoints, and back.

Poise puts parameters with equal settings into one group; MMEngine makes a group of each. In a
file each has its own group, in the order of the model, so that either can go on from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from poise.errors import CheckpointError

__all__ = ["from_file", "to_file"]


def to_file(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Any]:
    """State of an optimizer as a file holds it; one with a single group stays as it is."""
    state = optimizer.state_dict()
    if not _is_split(optimizer, model):
        return state
    rows = _rows(optimizer, model)
    groups = [
        {**{k: v for k, v in state["param_groups"][g].items() if k != "params"}, "params": [i]}
        for i, (_, g) in enumerate(rows)
    ]
    entries = state["state"]
    kept = {i: entries[own] for i, (own, _) in enumerate(rows) if own in entries}
    return {"state": kept, "param_groups": groups}


def from_file(
    state: Mapping[str, Any], optimizer: torch.optim.Optimizer, model: nn.Module
) -> dict[str, Any]:
    """State of a file for this optimizer.

    Raises:
        CheckpointError: the file has other parameters or groups.
    """
    mine, theirs = optimizer.param_groups, state["param_groups"]
    if not _is_split(optimizer, model) or len(theirs) == len(mine) != _count(mine):
        if [len(g["params"]) for g in mine] != [len(g["params"]) for g in theirs]:
            raise _other_groups(theirs, mine)
        return dict(state)
    if any(len(g["params"]) != 1 for g in theirs) or len(theirs) != _count(mine):
        raise _other_groups(theirs, mine)
    rows = _rows(optimizer, model)
    own_groups = optimizer.state_dict()["param_groups"]
    settings: dict[int, dict[str, Any]] = {}
    entries = {}
    for group, (own, g) in zip(theirs, rows, strict=True):
        settings.setdefault(g, {k: v for k, v in group.items() if k != "params"})
        (number,) = group["params"]
        if number in state["state"]:
            entries[own] = state["state"][number]
    groups = [{**settings[g], "params": own_groups[g]["params"]} for g in range(len(mine))]
    return {"state": entries, "param_groups": groups}


def _count(groups: list[dict[str, Any]]) -> int:
    return sum(len(g["params"]) for g in groups)


def _is_split(optimizer: torch.optim.Optimizer, model: nn.Module) -> bool:
    """Whether MMEngine would make a group of each of these parameters.

    It does with `paramwise_cfg`, except where depth decides (`lr_scale`).
    """
    groups = optimizer.param_groups
    known = {id(p) for p in model.parameters()}
    ours = all(id(p) in known for g in groups for p in g["params"])
    return ours and len(groups) > 1 and not any("lr_scale" in g for g in groups)


def _rows(optimizer: torch.optim.Optimizer, model: nn.Module) -> list[tuple[int, int]]:
    """(index in the optimizer, number of its group) of each parameter, in model order."""
    numbers = [i for g in optimizer.state_dict()["param_groups"] for i in g["params"]]
    params = [(id(p), g) for g, group in enumerate(optimizer.param_groups) for p in group["params"]]
    at = {key: (i, g) for i, (key, g) in zip(numbers, params, strict=True)}
    return [at[id(p)] for p in model.parameters() if id(p) in at]


def _other_groups(theirs: Any, mine: Any) -> CheckpointError:
    return CheckpointError(
        f"the optimizer of the checkpoint has {len(theirs)} groups of {_count(theirs)} "
        f"parameters, the config gives {len(mine)} groups of {_count(mine)}; resume with the "
        "config that the run was started with, or start from the weights alone with load_from"
    )
