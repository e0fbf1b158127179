"""Whether more or less of a metric is better, as its name says."""

from __future__ import annotations

from typing import Any

from poise.errors import ConfigError

__all__ = ["GREATER_KEYS", "LESS_KEYS", "rule_for"]

#: Parts of metric names that say which direction is better, for `rule=None`.
GREATER_KEYS = ("acc", "top", "AR@", "auc", "precision", "mAP", "mDice", "mIoU", "mAcc", "aAcc")
LESS_KEYS = ("loss",)
#: MMEngine has no rule for these names of pose metrics and asks for one.
_POSE_GREATER = ("ap", "ar", "pck")
_POSE_LESS = ("epe", "nme", "mpjpe", "p-mpjpe", "mpjve")


def rule_for(
    name: str,
    rule: str | None = None,
    greater_keys: Any = GREATER_KEYS,
    less_keys: Any = LESS_KEYS,
) -> str:
    """Which direction of a metric is better: "greater" or "less".

    Args:
        name: of the metric, such as "coco/AP".
        rule: what the config says, or None to go by the name.

    Raises:
        ConfigError: neither the config nor the name tells.
    """
    if rule is not None:
        if rule not in ("greater", "less"):
            raise ConfigError(f"rule must be 'greater', 'less' or None, got {rule!r}")
        return rule
    lower = name.lower()
    known = [("greater", greater_keys), ("less", less_keys)]
    # an exact name counts before a part of one
    for fits in (lower.__eq__, lower.__contains__):
        for found, keys in known:
            if any(fits(k.lower()) for k in keys):
                return found
    last = lower.rpartition("/")[2].replace("(", " ").split()[0]
    for found, keys in (("greater", _POSE_GREATER), ("less", _POSE_LESS)):
        if last in keys:
            return found
    raise ConfigError(
        f"whether more or less of '{name}' is better cannot be told from its name; "
        "set rule='greater' or rule='less'"
    )
