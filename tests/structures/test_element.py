"""Data elements: fields of two kinds that never mix, copies that share no metainfo."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

from poise.errors import ArgumentError, PoiseError, UnknownNameError
from poise.structures import BaseDataElement, FieldError, InstanceData, PoseDataSample


@pytest.fixture
def element():
    return BaseDataElement(metainfo=dict(shape=(4, 5), scale=np.ones(2)), boxes=np.zeros((2, 4)))


def test_fields_are_attributes_of_two_kinds(element):
    assert element.keys() == ["boxes"]
    assert element.metainfo_keys() == ["shape", "scale"]
    assert element.all_keys() == ["shape", "scale", "boxes"]
    assert element.shape == (4, 5)
    assert "shape" in element
    assert "boxes" in element
    assert "labels" not in element
    assert dict(element.items()).keys() == {"boxes"}
    assert dict(element.metainfo_items())["shape"] == (4, 5)
    assert len(element.all_values()) == len(dict(element.all_items())) == 3
    assert len(element.values()) == 1
    assert len(element.metainfo_values()) == 2


def test_metainfo_is_copied(element):
    mine = dict(centre=np.zeros(2), names=["a"], pair=([1], 2))
    element.set_metainfo(mine)
    mine["centre"][0] = 7
    mine["names"].append("b")
    mine["pair"][0].append(3)
    assert element.centre.tolist() == [0, 0]
    assert element.names == ["a"]
    assert element.pair == ([1], 2)
    clone = element.clone()
    clone.scale[0] = 9
    assert element.scale[0] == 1


def test_a_name_is_of_one_kind(element):
    with pytest.raises(AttributeError, match="it is metainfo"):
        element.shape = 3
    with pytest.raises(AttributeError, match="they are data fields"):
        element.set_metainfo(dict(boxes=1))
    with pytest.raises(AttributeError, match="it is a data field"):
        element.set_field(1, "boxes", field_type="metainfo")


def test_fields_can_be_set_as_meta_information(element):
    element.set_field(3, "factor", field_type="metainfo")
    assert element.metainfo["factor"] == 3
    assert "factor" not in dict(element.items())


def test_deleting_and_popping(element):
    del element.shape
    assert "shape" not in element
    assert element.pop("boxes").shape == (2, 4)
    assert element.pop("boxes", "nothing") == "nothing"
    with pytest.raises(KeyError, match="no field 'boxes'"):
        element.pop("boxes")
    with pytest.raises(AttributeError, match="no field 'shape'"):
        del element.shape
    del element["scale"]
    assert element.all_keys() == []


def test_get_has_a_default(element):
    assert element.get("shape") == (4, 5)
    assert element.get("nothing", 3) == 3


def test_asking_for_an_absent_field_writes_no_text(element, monkeypatch):
    monkeypatch.setattr(BaseDataElement, "text_of_missing", None)
    assert element.get("boxse") is None
    assert getattr(element, "boxse", 1) == 1
    assert not hasattr(element, "boxse")


def test_error_of_an_absent_field_travels_between_processes(element):
    with pytest.raises(FieldError) as caught:
        _ = element.boxse
    copied = pickle.loads(pickle.dumps(caught.value))
    assert type(copied) is FieldError
    assert str(copied) == str(caught.value)


def test_a_misspelt_field_is_suggested(element):
    with pytest.raises(AttributeError, match="did you mean 'boxes'"):
        _ = element.boxse
    with pytest.raises(PoiseError):
        _ = element.boxse
    assert not hasattr(element, "boxse")


def test_private_names_stay_private(element):
    for name in ("_data_fields", "_metainfo_fields"):
        with pytest.raises(AttributeError, match="private"):
            setattr(element, name, set())
        with pytest.raises(AttributeError, match="private"):
            delattr(element, name)
    assert element._data_fields == {"boxes"}
    assert element._metainfo_fields == {"shape", "scale"}


def test_new_takes_what_is_not_given(element):
    same = element.new()
    assert same.all_keys() == element.all_keys()
    assert same.boxes is element.boxes
    other = element.new(metainfo=dict(a=1), labels=[1])
    assert other.all_keys() == ["a", "labels"]


def test_update_takes_over_all_fields(element):
    element.update(BaseDataElement(metainfo=dict(shape=1), labels=[2]))
    assert element.shape == 1
    assert element.labels == [2]
    assert "boxes" in element
    with pytest.raises(ArgumentError, match="takes a data element"):
        element.update({})


def pickled(element):
    return pickle.loads(pickle.dumps(element))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_copies_and_pickles_keep_everything(element, copied):
    again = copied(element)
    assert again.all_keys() == element.all_keys()
    assert (again.boxes == element.boxes).all()
    again.labels = [1]
    assert "labels" not in element


def test_to_dict_goes_into_elements(element):
    nested = BaseDataElement(metainfo=dict(id=1), inner=element)
    assert nested.to_dict()["inner"]["shape"] == (4, 5)


def test_repr_shows_both_kinds(element):
    text = repr(BaseDataElement(inner=element))
    for part in ("<BaseDataElement(", "META INFORMATION", "DATA FIELDS", "shape: (4, 5)", "boxes"):
        assert part in text


class Typed(BaseDataElement):
    """The way user code declares typed fields, with the private name of its choice."""

    @property
    def proposals(self):
        return self._proposals

    @proposals.setter
    def proposals(self, value):
        self.set_field(value, "_proposals", dtype=BaseDataElement)

    @proposals.deleter
    def proposals(self):
        del self._proposals

    @property
    def maps(self):
        return self._heat

    @maps.setter
    def maps(self, value):
        self.set_field(value, "_heat")

    @maps.deleter
    def maps(self):
        del self._heat


def test_fields_declared_as_properties(element):
    typed = Typed(proposals=element, maps=3)
    assert typed.proposals is element
    assert typed.maps == 3
    assert "proposals" in typed
    assert "maps" in typed
    assert typed.new().proposals is element
    with pytest.raises(TypeError, match="proposals of Typed must be BaseDataElement, got int"):
        typed.proposals = 3
    del typed.proposals, typed.maps
    assert typed.all_keys() == []


@pytest.mark.parametrize(
    "call",
    [
        lambda e: e.set_metainfo(3),
        lambda e: e.set_data([1]),
        lambda e: e.set_field(1, "a", field_type="other"),
        lambda e: e.pop(),
    ],
)
def test_wrong_arguments_are_refused(element, call):
    with pytest.raises(ArgumentError):
        call(element)


def test_tensors_convert_and_the_rest_stays(element):
    torch = pytest.importorskip("torch")
    nested = BaseDataElement(metainfo=dict(a=1), inner=element, names=["x"])
    tensors = nested.to_tensor()
    assert isinstance(tensors.inner.boxes, torch.Tensor)
    assert tensors.names == ["x"]
    assert tensors.a == 1
    assert tensors.to(torch.float16).inner.boxes.dtype == torch.float16
    assert tensors.cpu().detach().numpy().inner.boxes.dtype == np.float64
    grown = BaseDataElement(x=torch.ones(2, requires_grad=True))
    assert not grown.detach().x.requires_grad
    assert isinstance(grown.numpy().x, np.ndarray)


def test_arrays_that_run_backwards_become_tensors():
    pytest.importorskip("torch")
    flipped = BaseDataElement(x=np.arange(6).reshape(2, 3)[:, ::-1]).to_tensor()
    assert flipped.x.tolist() == [[2, 1, 0], [5, 4, 3]]


@pytest.mark.parametrize("device", ["cuda", "npu", "mlu", "musa"])
def test_tensors_move_to_a_device_by_its_name(device, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.Tensor, device, lambda tensor: "there", raising=False)
    moved = getattr(BaseDataElement(metainfo=dict(a=1), x=torch.ones(2), name="y"), device)()
    assert (moved.x, moved.name, moved.a) == ("there", "y", 1)


def test_structures_do_numpy_work_without_torch():
    code = (
        "import sys, pickle, numpy as np, poise.structures as s\n"
        "i = s.InstanceData(keypoints=np.zeros((3, 17, 2)))\n"
        "i = s.InstanceData.cat([i[[0]], i[np.array([True, False, True])]]).numpy().to('cpu')\n"
        "d = s.PoseDataSample(pred_instances=i, gt_fields=s.PixelData(a=np.zeros((4, 4))))\n"
        "pickle.loads(pickle.dumps(d)); repr(d); s.merge_data_samples([d, d])\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names_are_key_errors():
    with pytest.raises(UnknownNameError):
        InstanceData().pop("a")
    assert PoseDataSample().keys() == []
