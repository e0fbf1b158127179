"""What stands beside the layers: whole files, arrays of tensors, libraries that may be missing."""

import numpy as np
import pytest
import torch

from poise._arrays import as_numpy, is_tensor
from poise._files import whole_file, write_whole
from poise._lazy import needed
from poise.errors import MissingDependencyError


def interrupted(path):
    with whole_file(path) as place:
        place.write_text("half of")
        raise KeyboardInterrupt


def test_a_file_that_breaks_off_leaves_the_one_before_and_nothing_else(tmp_path):
    path = tmp_path / "poses.json"
    write_whole(path, b"[]")
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert path.read_bytes() == b"[]"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_none_is_told_before_anything_is_written(tmp_path):
    with (
        pytest.raises(FileNotFoundError),
        whole_file(tmp_path / "absent" / "poses.json"),
    ):
        pytest.fail("the folder does not exist")


def test_a_file_is_readable_by_whom_the_umask_says(tmp_path):
    write_whole(tmp_path / "whole", b"")
    (tmp_path / "plain").touch()
    modes = {(tmp_path / name).stat().st_mode for name in ("whole", "plain")}
    assert len(modes) == 1


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.bfloat16, np.float32),
        (torch.float16, np.float32),
        (torch.float64, np.float64),
        (torch.int8, np.int8),
        (torch.bool, np.bool_),
    ],
)
def test_arrays_of_tensors_keep_what_numpy_can_hold(dtype, expected):
    array = as_numpy(torch.ones(2).to(dtype))
    assert array.dtype == expected
    assert array.tolist() == [1, 1]


def test_arrays_share_memory_and_leave_the_graph():
    tensor = torch.zeros(2, requires_grad=True)
    as_numpy(tensor)[0] = 3
    assert tensor.tolist() == [3, 0]
    own = np.zeros(2)
    assert as_numpy(own) is own
    assert is_tensor(tensor)
    assert not is_tensor(own)


def test_a_missing_library_is_told_with_the_way_to_it():
    assert needed("json", "needs json").dumps([]) == "[]"
    with pytest.raises(MissingDependencyError, match="^needs it: pip install it$") as caught:
        needed("poise_has_no_such_library", "needs it: pip install it")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
