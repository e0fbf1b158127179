"""The student's weights in a file of a DWPose training."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from poise.models.weights.keys import strip_prefix, with_versions

__all__ = ["student_of"]

_STUDENT, _TEACHER = "student.", "teacher."
#: what a config says of the second stage, in which the student's head learns on its teacher's body
_SECOND_STAGE = re.compile(r"\btwo_dis\s*=\s*True\b")
_HEAD = "head."


def student_of(
    state: Mapping[str, Tensor], content: Mapping[str, Any], expected: Iterable[str] = ()
) -> Mapping[str, Tensor]:
    """Weights of the student under the names of its own model; other files as they are.

    Args:
        state: weights of a file.
        content: the whole file, whose config tells the stages apart; without one it is the first.
        expected: keys of the model; that of a distiller takes the file as it is.
    """
    pair = all(any(k.startswith(part + _HEAD) for k in state) for part in (_STUDENT, _TEACHER))
    if not pair or any(k.startswith(_STUDENT) for k in expected):
        return state
    own = strip_prefix(state, _STUDENT)
    meta = content.get("meta")
    if not isinstance(meta, Mapping) or not _SECOND_STAGE.search(str(meta.get("cfg", ""))):
        return own
    body = strip_prefix(state, _TEACHER)
    joined = OrderedDict((k, own[k] if k.startswith(_HEAD) else v) for k, v in body.items())
    return with_versions(joined, getattr(own, "_metadata", None))
