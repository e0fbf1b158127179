"""ViTPose and ViTPose++ in folders of Hugging Face's transformers.

`vitpose_plus_tiny/` was written by `save_pretrained` of transformers 5.24, a random ViTPose++ of a
few channels; its `heatmaps.json` has every fourth map and every fifth pixel of what
`VitPoseForPoseEstimation` gives with each `dataset_index`, and for the mirrored picture with
`flip_pairs`.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import poise
from poise.errors import CheckpointError, ConfigError, FileMissingError
from poise.models.flip import unflip_heatmaps
from poise.models.weights import convert, load_checkpoint, read_checkpoint
from poise.models.weights.experts import of_dataset
from poise.zoo.parts.vitpose import EXPERTS

TINY = Path(__file__).parent / "vitpose_plus_tiny"
COCO = ["Nose"] + [
    f"{side}_{part}"
    for part in ("Eye", "Ear", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")
    for side in "LR"
]


@pytest.fixture
def folder(tmp_path):
    """A copy of the folder whose files may be changed."""
    shutil.copytree(TINY, tmp_path / "tiny")
    return tmp_path / "tiny"


def change(path, **settings):
    """Other settings in a JSON file; those of the backbone go below `backbone_config`."""
    content = json.loads(path.read_text())
    for key, value in settings.items():
        inner = key != "id2label" and key in content.get("backbone_config", {})
        part = content["backbone_config"] if inner else content
        part[key] = value
    path.write_text(json.dumps(content))


def labels(names):
    return {str(i): name for i, name in enumerate(names)}


def picture():
    return torch.linspace(0, 500, 2 * 3 * 64 * 48).sin().reshape(2, 3, 64, 48)


class TestNumbers:
    # its maps are 17, so the datasets with others have a head that fits no schema of theirs
    @pytest.mark.parametrize("dataset", ["coco", "ap10k", "apt36k"])
    def test_heatmaps_of_a_dataset_are_those_of_transformers(self, dataset):
        model = poise.load_model(f"{TINY}#{dataset}")
        self.compare(model, dataset)
        assert model.dataset_meta["dataset_name"] == ("coco" if dataset == "coco" else "ap10k")

    @pytest.mark.parametrize("dataset", EXPERTS)
    def test_every_expert_is_that_of_transformers(self, dataset):
        model = poise.build_model(str(TINY))
        state = read_checkpoint(TINY / "model.safetensors")["state_dict"]
        load_checkpoint(model, of_dataset(state, dataset), strict=True)
        self.compare(model.eval(), dataset, mirror=False)

    def compare(self, model, dataset, mirror=True):
        expected = json.loads((TINY / "heatmaps.json").read_text())[str(EXPERTS.index(dataset))]
        with torch.no_grad():
            maps = model.head(model.extract_feat(picture()))
            turned = model.head(model.extract_feat(picture().flip(-1)))
        found = maps[:, ::4, ::5, ::5].flatten()
        torch.testing.assert_close(found, torch.tensor(expected["heatmaps"]), atol=1e-5, rtol=0)
        if mirror and dataset == "coco":
            back = unflip_heatmaps(turned, model.dataset_meta, model.test_cfg)
            found = back[:, ::4, ::5, ::5].flatten()
            torch.testing.assert_close(found, torch.tensor(expected["flipped"]), atol=1e-5, rtol=0)

    def test_without_a_name_the_first_dataset_is_meant(self):
        model, named = poise.load_model(str(TINY)), poise.load_model(f"{TINY}#coco")
        for key, value in model.state_dict().items():
            assert torch.equal(value, named.state_dict()[key]), key

    def test_the_model_has_mmposes_names_and_no_experts(self):
        released = poise.build_model("td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192")
        keys = {key for key in released.state_dict() if not key.startswith("backbone.layers.")}
        mine = poise.load_model(str(TINY)).state_dict()
        assert {key for key in mine if not key.startswith("backbone.layers.")} == keys
        assert mine["backbone.layers.1.ffn.layers.1.weight"].shape == (16, 32)


class TestSettings:
    def test_pictures_are_prepared_as_the_folder_says(self, folder):
        change(
            folder / "preprocessor_config.json",
            image_mean=[0.5, 0.25, 0.0],
            image_std=[0.5, 0.5, 1.0],
            normalize_factor=250.0,
        )
        cfg = poise.load_config(folder)
        assert cfg.model.data_preprocessor.mean == [127.5, 63.75, 0.0]
        assert cfg.model.data_preprocessor.std == [127.5, 127.5, 255.0]
        steps = {step["type"]: step for step in cfg.test_dataloader.dataset.pipeline}
        assert steps["GetBBoxCenterScale"]["padding"] == 1.0
        assert steps["TopdownAffine"] == dict(
            type="TopdownAffine", input_size=(48, 64), use_udp=True
        )

    @pytest.mark.parametrize(
        ("settings", "mean", "std"),
        [
            (dict(do_normalize=False), 0.0, 255.0),
            (dict(do_rescale=False), 0.485, 0.229),
            (dict(rescale_factor=1.0), 0.485, 0.229),
            (dict(), 123.675, 58.395),
        ],
    )
    def test_scaling_and_normalising_are_one_step(self, folder, settings, mean, std):
        change(folder / "preprocessor_config.json", **settings)
        found = poise.load_config(folder).model.data_preprocessor
        assert (found.mean[0], found.std[0]) == pytest.approx((mean, std))

    def test_without_the_processors_file_its_defaults_hold(self, folder):
        (folder / "preprocessor_config.json").unlink()
        assert poise.load_config(folder).model.data_preprocessor.mean == [123.675, 116.28, 103.53]

    def test_left_out_settings_are_those_of_transformers(self, folder):
        (folder / "config.json").write_text(
            json.dumps(dict(model_type="vitpose", backbone_config={}, id2label=labels(COCO)))
        )
        (folder / "preprocessor_config.json").unlink()
        model = poise.load_config(folder).model
        assert model.backbone.arch == dict(
            embed_dims=768, num_layers=12, num_heads=12, feedforward_channels=3072
        )
        assert model.backbone.norm_cfg.eps == 1e-12
        assert model.neck.scale_factor == 4.0
        assert model.head.decoder.heatmap_size == (48, 64)

    def test_layers_behind_the_one_that_is_asked_for_are_left_out(self, folder):
        change(folder / "config.json", out_indices=[1], out_features=["stage1"])
        assert poise.load_config(folder).model.backbone.arch.num_layers == 1

    def test_the_classic_decoder_has_two_deconvolutions(self, folder):
        change(folder / "config.json", use_simple_decoder=False)
        model = poise.load_config(folder).model
        assert model.head.deconv_out_channels == (256, 256)
        assert "neck" not in model

    @pytest.mark.parametrize(
        ("file", "settings", "text"),
        [
            ("config.json", dict(patch_size=[16, 8]), "square and fill the picture"),
            ("config.json", dict(image_size=[65, 48]), "square and fill the picture"),
            ("config.json", dict(image_size="64"), "image_size should be height and width"),
            ("config.json", dict(hidden_act="swish"), r"hidden_act is 'swish', expected one of"),
            ("preprocessor_config.json", dict(do_affine_transform=False), "set it to true"),
            ("preprocessor_config.json", dict(size=dict(height=256, width=192)), "be the same"),
            ("preprocessor_config.json", dict(image_processor_type="CLIP"), "a CLIP, expected Vit"),
        ],
    )
    def test_what_cannot_be_honoured_is_refused(self, folder, file, settings, text):
        change(folder / file, **settings)
        with pytest.raises(ConfigError, match=text):
            poise.load_config(folder)


class TestKeypoints:
    def plain(self, folder, names):
        """One dataset, and these keypoints."""
        change(folder / "config.json", num_experts=1, id2label=labels(names))
        return folder

    def test_names_of_keypoints_say_the_schema(self, folder):
        meta = poise.build_model(self.plain(folder, COCO)).dataset_meta
        assert meta["dataset_name"] == "coco"

    @pytest.mark.parametrize(("count", "name"), [(17, "coco"), (133, "coco_wholebody")])
    def test_unnamed_ones_are_known_by_their_number(self, folder, count, name):
        self.plain(folder, [f"LABEL_{i}" for i in range(count)])
        assert poise.build_model(folder).dataset_meta["dataset_name"] == name

    def test_other_unnamed_ones_are_numbered_and_not_mirrored(self, folder, caplog):
        self.plain(folder, [f"LABEL_{i}" for i in range(14)])
        model = poise.build_model(folder)
        assert model.dataset_meta["keypoint_id2name"][13] == "keypoint_13"
        assert model.test_cfg["flip_test"] is False
        assert "does not say what its 14 keypoints are" in caplog.text
        assert poise.build_model(f"{folder}#crowdpose").dataset_meta["dataset_name"] == "crowdpose"

    def test_names_of_ones_own_are_a_schema_of_their_own(self, folder):
        self.plain(folder, ["snout", "L_Ear", "R_Ear"])
        change(folder / "config.json", edges=[[0, 1], [0, 2]])
        model = poise.build_model(folder)
        assert model.dataset_meta["flip_indices"] == [0, 2, 1]
        assert model.dataset_meta["skeleton_links"] == [(0, 1), (0, 2)]
        assert model.test_cfg["flip_test"] is True

    @pytest.mark.parametrize("name", ["aic", "wholebody"])
    def test_a_head_of_other_keypoints_is_refused(self, name):
        with pytest.raises(
            ConfigError, match=r"its head finds 17 keypoints, and .* has (14|133)\."
        ):
            poise.load_config(f"{TINY}#{name}")

    def test_a_head_of_as_many_others_is_refused(self, folder):
        change(folder / "config.json", id2label=labels(COCO))
        with pytest.raises(
            ConfigError, match="17 keypoints, those of coco, and ap10k has 17 others"
        ):
            poise.load_config(f"{folder}#ap10k")

    def test_an_unknown_dataset_is_told_with_those_there_are(self):
        with pytest.raises(ConfigError, match=r"#cocoo: it has parts for coco, aic, .*'coco'"):
            poise.load_config(f"{TINY}#cocoo")

    def test_a_mixture_of_another_heads_must_be_named(self, folder):
        change(folder / "config.json", id2label=labels([f"LABEL_{i}" for i in range(16)]))
        with pytest.raises(ConfigError, match="16 keypoints, and coco has 17"):
            poise.load_config(folder)
        assert poise.build_model(f"{folder}#mpii").dataset_meta["dataset_name"] == "mpii"


def in_pieces(folder):
    """Put the weights of a folder into two files and a list of them, as large models have it."""
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    where = {key: names[i % 2] for i, key in enumerate(state)}
    for name in names:
        save_file({key: state[key] for key in state if where[key] == name}, folder / name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    return names


class TestFolders:
    def test_weights_in_pieces_are_those_of_one_file(self, folder, tmp_path):
        in_pieces(folder)
        model, whole = poise.load_model(f"{folder}#ap10k"), poise.load_model(f"{TINY}#ap10k")
        for key, value in whole.state_dict().items():
            assert torch.equal(value, model.state_dict()[key]), key
        convert(folder, tmp_path / "one.safetensors")
        assert poise.load_model(tmp_path / "one.safetensors").dataset_meta["num_keypoints"] == 17

    def test_a_piece_that_lacks_is_named(self, folder):
        names = in_pieces(folder)
        (folder / names[1]).unlink()
        with pytest.raises(CheckpointError, match=f"of its 2 pieces {names[1]} is not in {folder}"):
            poise.load_model(folder)

    @pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": {"a": "../b.safetensors"}}'])
    def test_a_list_of_pieces_that_is_none_is_refused(self, folder, text):
        in_pieces(folder)
        (folder / "model.safetensors.index.json").write_text(text)
        with pytest.raises(CheckpointError, match="as a list of pieces: expected a 'weight_map'"):
            poise.load_model(folder)

    def test_a_folder_without_settings_says_what_it_has(self, tmp_path):
        (tmp_path / "notes.txt").touch()
        with pytest.raises(
            FileMissingError, match=r"a folder without config\.json.*has notes\.txt"
        ):
            poise.load_model(str(tmp_path))

    def test_a_folder_that_is_called_as_a_model_is_not_taken_for_it(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "human").mkdir()
        assert poise.load_config("human").model.type == "TopdownPoseEstimator"

    def test_another_network_is_told_with_what_is_read(self, tmp_path):
        settings = dict(model_type="rt_detr", architectures=["RTDetrForObjectDetection"])
        (tmp_path / "config.json").write_text(json.dumps(settings))
        with pytest.raises(ConfigError, match=r"'rt_detr' \(architectures: RTDetr.*'vitpose'"):
            poise.load_model(str(tmp_path))

    def test_a_backbone_alone_says_what_it_is_good_for(self, tmp_path):
        (tmp_path / "config.json").write_text(json.dumps(dict(model_type="vitpose_backbone")))
        (tmp_path / "model.safetensors").touch()
        with pytest.raises(ConfigError, match=r"without the head.*type='Pretrained'"):
            poise.load_model(str(tmp_path))

    @pytest.mark.parametrize("inner", [None, dict(model_type="dinov2")])
    def test_another_backbone_is_refused(self, folder, inner):
        content = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(content | dict(backbone_config=inner)))
        with pytest.raises(ConfigError, match="vitpose_backbone"):
            poise.load_config(folder)

    @pytest.mark.parametrize("text", ["{", "[]"])
    def test_settings_that_are_none_are_refused(self, folder, text):
        (folder / "config.json").write_text(text)
        with pytest.raises(ConfigError, match=r"config\.json"):
            poise.load_config(folder)

    @pytest.mark.parametrize(
        ("file", "settings", "text"),
        [
            ("config.json", dict(hidden_size="wide"), "'wide'"),
            ("config.json", dict(num_attention_heads=None), "'NoneType'"),
            ("config.json", dict(patch_size=None), "'NoneType'"),
            ("config.json", dict(id2label=["nose"]), "'list'"),
            ("config.json", dict(out_indices=["last"]), "'last'"),
            ("preprocessor_config.json", dict(size=64), "'int'"),
            ("preprocessor_config.json", dict(image_mean="x"), "'x'"),
            ("preprocessor_config.json", dict(rescale_factor=0), "division by zero"),
        ],
    )
    def test_settings_of_another_kind_are_told(self, folder, file, settings, text):
        change(folder / file, **settings)
        with pytest.raises(ConfigError, match=rf"config\.json or .*: a setting is of .*{text}"):
            poise.load_config(folder)

    def test_absent_weights_are_told(self, folder):
        (folder / "model.safetensors").unlink()
        with pytest.raises(CheckpointError, match=r"no weights: expected model\.safetensors or"):
            poise.load_model(str(folder))

    def test_weights_that_are_cut_off_are_told(self, folder):
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:20_000])
        with pytest.raises(CheckpointError, match=r"20,000 bytes.*it is cut off"):
            poise.load_model(str(folder))

    def test_older_folders_have_a_pickle_which_is_read_safely(self, folder):
        state = read_checkpoint(folder / "model.safetensors")["state_dict"]
        (folder / "model.safetensors").unlink()
        torch.save(state, folder / "pytorch_model.bin")
        model, other = poise.load_model(str(folder)), poise.load_model(str(TINY))
        assert torch.equal(model.backbone.pos_embed, other.backbone.pos_embed)
        torch.save({**state, "run": shutil.rmtree}, folder / "pytorch_model.bin")
        with pytest.raises(CheckpointError, match="rmtree"):
            poise.load_model(str(folder))

    @pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
    def test_a_file_of_a_folder_leads_to_the_folder(self, file):
        with pytest.raises((ConfigError, CheckpointError), match="give (the|its) folder"):
            poise.load_config(TINY / file)

    def test_a_folder_becomes_a_whole_model(self, folder, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        written = convert(f"{folder}#ap10k")
        assert written == Path("tiny-ap10k.safetensors")
        model, other = poise.load_model(str(written)), poise.load_model(f"{TINY}#ap10k")
        assert model.dataset_meta["dataset_name"] == "ap10k"
        for key, value in other.state_dict().items():
            assert torch.equal(value, model.state_dict()[key]), key

    def test_a_whole_model_does_not_replace_its_source(self, folder):
        with pytest.raises(CheckpointError, match="is the source itself"):
            convert(str(folder), folder / "model.safetensors")

    def test_a_backbone_starts_from_the_file_of_a_backbone(self, tmp_path):
        state = read_checkpoint(TINY / "model.safetensors")["state_dict"]
        torch.save(
            {k.removeprefix("backbone."): v for k, v in state.items() if "head" not in k},
            tmp_path / "backbone.pth",
        )
        settings = poise.load_config(TINY).model.backbone.copy()
        model = poise.build_model(settings)
        load_checkpoint(model, tmp_path / "backbone.pth", strict=True)
        assert torch.equal(model.ln1.weight, state["backbone.layernorm.weight"].float())
