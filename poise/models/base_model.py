"""BaseModel: what takes batches from a data loader and answers by mode, and how losses add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from torch import Tensor

from poise.errors import ArgumentError
from poise.layers import BaseModule
from poise.registry import MODELS

__all__ = ["BaseModel", "parse_losses"]


def parse_losses(losses: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum of what is called a loss, and everything by name with the sum first.

    Args:
        losses: tensors or lists of tensors; a list is the sum of its means. Names that
            contain "loss" count, others (accuracies) are only shown.

    Raises:
        ArgumentError: a value that is neither, or nothing to minimise.
    """
    parsed: dict[str, Tensor] = {}
    for name, value in losses.items():
        if isinstance(value, Tensor):
            parsed[name] = value.mean()
        elif isinstance(value, (list, tuple)) and all(isinstance(v, Tensor) for v in value):
            parsed[name] = sum(v.mean() for v in value)
        else:
            raise ArgumentError(
                f"a value of loss() should be a tensor or a list of tensors, '{name}' is {value!r}"
            )
    total = sum(v for name, v in parsed.items() if "loss" in name)
    if not isinstance(total, Tensor):
        raise ArgumentError(
            f"none of the values that loss() gave has 'loss' in its name: {sorted(parsed)}"
        )
    return total, {"loss": total, **parsed}


class BaseModel(BaseModule):
    """Base of whole models; a subclass defines `forward(inputs, data_samples, mode)`.

    Args:
        data_preprocessor: config or module, batch -> model input; None only moves data to the
            device.
    """

    def __init__(self, data_preprocessor: Any = None, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        if data_preprocessor is None:
            data_preprocessor = {"type": "mmengine.BaseDataPreprocessor"}
        self.data_preprocessor = MODELS.build(data_preprocessor)

    #: a model may have its own way; training asks the model
    parse_losses = staticmethod(parse_losses)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """Preprocess, forward, backward and update, as a plain training loop does.

        Args:
            data: batch from the data loader.
            optim_wrapper: object with `update_params(loss)`, or a torch optimizer.

        Returns:
            Values to log.
        """
        context = getattr(optim_wrapper, "optim_context", None)
        with context(self) if context else nullcontext():
            losses = self._run_forward(self.data_preprocessor(data, True), mode="loss")
        total, log_vars = self.parse_losses(losses)
        if hasattr(optim_wrapper, "update_params"):
            optim_wrapper.update_params(total)
        else:
            optim_wrapper.zero_grad()
            total.backward()
            optim_wrapper.step()
        return log_vars

    def val_step(self, data: Any) -> Sequence[Any]:
        """Predictions of a batch from the data loader."""
        return self._run_forward(self.data_preprocessor(data, False), mode="predict")

    def test_step(self, data: Any) -> Sequence[Any]:
        """Predictions of a batch from the data loader."""
        return self.val_step(data)

    def _run_forward(self, data: Any, mode: str) -> Any:
        if isinstance(data, Mapping):
            return self(**data, mode=mode)
        return self(*data, mode=mode)
