"""What a record is, and which settings go with it."""

from __future__ import annotations

from poise.errors import DataError

__all__ = ["check_data_mode", "check_topdown_test"]

DATA_MODES = ("topdown", "bottomup")


def check_data_mode(data_mode: str, owner: str) -> None:
    """Raise a DataError (a ValueError) for an unknown mode."""
    if data_mode not in DATA_MODES:
        raise DataError(
            f'{owner} got invalid data_mode: {data_mode}. Should be "topdown" (a record for each '
            'person) or "bottomup" (one for each picture)'
        )


def check_topdown_test(argument: str, data_mode: str, test_mode: bool, owner: str) -> None:
    """Raise a DataError (a ValueError) where a test-time file meets another mode."""
    if data_mode != "topdown":
        raise DataError(
            f"{owner} is set to {data_mode} mode, while `{argument}` is only supported in topdown "
            "mode"
        )
    if not test_mode:
        raise DataError(
            f"{owner} has test_mode=False, while `{argument}` is only supported when "
            "test_mode=True; training uses annotated people"
        )
