"""Sapiens2's pose networks: folders of Hugging Face's transformers, and Meta's files of weights.

The numbers come from `Sapiens2ForPoseEstimation` of transformers 5.24, which gives those of Meta's
own code, filled by `wave`.
"""

import json

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import poise
from poise import schemas
from poise.errors import ConfigError
from poise.models.backbones import Sapiens2
from poise.models.weights import load_checkpoint
from poise.schemas.conversions import find
from poise.transforms import TopdownAffine
from poise.zoo.training_data import licence_of_network

SETTINGS = dict(
    architectures=["Sapiens2ForPoseEstimation"],
    model_type="sapiens2",
    hidden_size=32,
    num_hidden_layers=18,
    num_attention_heads=2,
    intermediate_size=48,
    image_size=[64, 48],
    num_register_tokens=2,
    num_key_value_attention_heads=1,
    id2label={"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"},
    flip_pairs=[[1, 2]],
    head_config=dict(upsample_out_channels=[12, 8], conv_out_channels=[6, 6, 6]),
)
PROCESSOR = dict(
    image_processor_type="Sapiens2ImageProcessor",
    size=dict(height=64, width=48),
    keypoint_heatmap_sigma=3.0,
)
#: heatmaps of `picture` at every fifth pixel of the first picture
HEATMAPS = """
    0.140228 0.144537 0.053376 0.124640 0.070847 0.051594 0.059446 0.106325 -0.523989 0.123901
    0.132321 0.126716 0.161423 0.169500 0.219173 0.169630 0.206894 0.255425 0.213870 0.182625
    1.179013 0.159221 0.156279 0.170352 0.203532 0.191303 0.233758 0.211072 0.228326 0.199994
    0.232888 0.216646 -0.130018 0.222017 0.216483 0.208288
"""


def expected():
    return torch.tensor([float(word) for word in HEATMAPS.split()]).reshape(3, 12)


def wave(key, value):
    """Weights that are the same everywhere, by the length of their key."""
    values = 0.2 * (torch.arange(value.numel()) * 0.7 + len(key)).sin().reshape(value.shape)
    return 1 + values / 2 if key.endswith(("norm.weight", "ln1.weight", "ln2.weight")) else values


def picture():
    return torch.linspace(0, 500, 2 * 3 * 64 * 48).sin().reshape(2, 3, 64, 48)


@pytest.fixture
def write(tmp_path):
    """Writes a folder, with other settings than `SETTINGS`; weights under their released keys."""

    def writer(*, weights=False, processor=(), **settings):
        folder = tmp_path / "tiny"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(SETTINGS | settings))
        (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR | dict(processor)))
        if weights:
            released = {
                key.replace("head.", "decode_head.").replace("final_layer", "conv_pose"): value
                for key, value in poise.build_model(folder).state_dict().items()
            }
            released["backbone.rope_embed.periods"] = torch.ones(4)
            filled = {key: wave(key, value) for key, value in released.items()}
            save_file(filled, folder / "model.safetensors")
        return folder

    return writer


def test_heatmaps_are_those_of_transformers(write):
    model = poise.load_model(write(weights=True))
    with torch.no_grad():
        maps = model.head(model.extract_feat(picture()))
    assert maps.shape == (2, 3, 16, 12)
    found = maps[0, :, ::5, ::5].flatten(1)
    torch.testing.assert_close(found, expected(), atol=2e-6, rtol=0)


def test_metas_file_loads_by_the_config_of_a_folder(write, tmp_path):
    folder = write(weights=True)
    meta = tmp_path / "sapiens2_0.4b_pose.safetensors"
    (folder / "model.safetensors").rename(meta)
    model = poise.build_model(folder)
    load_checkpoint(model, meta, strict=True)
    with torch.no_grad():
        found = model.eval().head(model.extract_feat(picture()))[0, :, ::5, ::5].flatten(1)
    torch.testing.assert_close(found, expected(), atol=2e-6, rtol=0)


def test_a_folder_finds_people_in_a_photo(write):
    person = np.full((90, 60, 3), 128, np.uint8)
    finder = poise.Inferencer(str(write(weights=True)), device="cpu")
    (result,) = finder.predict([person], boxes=[np.array([[5.0, 5.0, 50.0, 80.0]])])
    assert result.keypoints.shape == (1, 3, 2)
    assert np.isfinite(result.keypoints).all()


class TestSettings:
    def test_codec_and_crops_are_those_of_sapiens(self, write):
        cfg = poise.load_config(write())
        assert cfg.model.head.decoder == dict(
            type="UDPHeatmap", input_size=(48, 64), heatmap_size=(12, 16), sigma=3.0
        )
        for pipeline in (cfg.train_pipeline, cfg.test_dataloader.dataset.pipeline):
            (step,) = (step for step in pipeline if step["type"] == "TopdownAffine")
            assert step == dict(type="TopdownAffine", input_size=(48, 64), use_udp=True, cubic=True)
        assert cfg.optim_wrapper.paramwise_cfg.layer_decay_rate == 0.8

    def test_left_out_settings_are_those_of_transformers(self, write):
        folder = write()
        (folder / "config.json").write_text(
            json.dumps(dict(model_type="sapiens2", image_size=[64, 48], num_labels=308))
        )
        model = poise.load_config(folder).model
        assert model.backbone.arch == Sapiens2.arch_zoo["sapiens2_0.4b"]
        assert model.backbone.num_kv_heads == [16] * 8 + [8] * 8 + [16] * 8

    @pytest.mark.parametrize(
        ("settings", "text"),
        [
            (dict(architectures=["Sapiens2ForSemanticSegmentation"]), "finds no keypoints"),
            (dict(hidden_act="gelu"), "hidden_act is 'gelu', Poise has 'silu' only"),
            (dict(use_gated_mlp=False), "use_gated_mlp is False, Poise has True only"),
            (dict(key_bias=False), "query_bias, key_bias and value_bias should be the same"),
            (dict(image_size="64"), "image_size should be height and width, got '64'"),
            (dict(image_size=[64, 40]), "patches should fill the picture"),
            (dict(image_size=[128, 96]), "they should be the same"),
            (dict(head_config=dict(use_pixel_shuffle=True)), "use_pixel_shuffle"),
            (dict(num_key_value_heads_per_layer=[2]), "has 1 numbers, expected one for each"),
        ],
    )
    def test_what_cannot_be_honoured_is_refused(self, write, settings, text):
        with pytest.raises(ConfigError, match=text):
            poise.build_model(write(**settings))

    def test_another_processor_is_refused(self, write):
        with pytest.raises(ConfigError, match="a CLIP, expected Sapiens2ImageProcessor"):
            poise.load_config(write(processor=dict(image_processor_type="CLIP")))


class TestKeypoints:
    def test_pairs_say_what_a_mirror_swaps(self, write, caplog):
        model = poise.build_model(write())
        assert model.dataset_meta["flip_indices"] == [0, 2, 1]
        assert model.test_cfg["flip_test"] is True
        assert "what its 3 keypoints are, so they are numbered\n" in caplog.text

    def test_a_schema_of_as_many_keypoints_is_proposed(self, write, caplog):
        folder = write(id2label={str(i): f"LABEL_{i}" for i in range(14)}, flip_pairs=[])
        poise.build_model(folder)
        assert f"crops are not mirrored; behind # the name of a schema can say it: {folder}#" in (
            caplog.text
        )
        with pytest.raises(ConfigError, match=r"14 keypoints, and mpii has 16.*#NAME\)$"):
            poise.load_config(f"{folder}#mpii")

    @pytest.mark.parametrize("named", [True, False])
    def test_308_are_those_of_sapiens(self, write, named):
        names = [p["name"] for p in schemas.get("goliath")["keypoint_info"].values()]
        # as Meta writes sides
        meta = [n.replace("left_m", "l_m").replace("_right_e", "_r_e") for n in names]
        labels = meta if named else [f"LABEL_{i}" for i in range(308)]
        model = poise.build_model(write(id2label=dict(enumerate(labels))))
        assert model.dataset_meta["dataset_name"] == "goliath"

    def test_names_of_midpoints_are_no_guide_to_their_pair(self):
        points = schemas.get("goliath")["keypoint_info"].values()
        swaps = {point["name"]: point["swap"] for point in points}
        assert swaps["left_midpoint_6_of_upper_lash_line"] == "right_midpoint_3_of_upper_lash_line"
        assert swaps["upper_midpoint_2_of_left_eyebrow"] == "upper_midpoint_3_of_right_eyebrow"
        assert swaps["midpoint_4_of_lower_inner_lip"] == "midpoint_5_of_lower_inner_lip"
        assert swaps["right_border_of_pupil_3"] == "left_border_of_pupil_9"
        assert swaps["left_point_2_of_inner_helix"] == "right_point_8_of_inner_helix"
        assert sum(not other for other in swaps.values()) == 16

    def test_they_become_coco_wholebody_but_for_the_face(self):
        assert find("goliath", "coco").counts["missing"] == 0
        assert find("goliath", "coco_wholebody").counts["missing"] == 68


class TestBackbone:
    small = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=48)

    @pytest.mark.parametrize(
        ("name", "shape"),
        [
            ("sapiens2_0.1b", (768, 12, 12, 3072)),
            ("sapiens2_0.8b", (1280, 32, 16, 5120)),
            ("sapiens2_1b", (1536, 40, 24, 6144)),
            ("sapiens2_5b", (2432, 56, 32, 9728)),
        ],
    )
    def test_architectures_are_the_published_ones(self, name, shape):
        assert tuple(Sapiens2.arch_zoo[name].values()) == shape

    def test_heads_share_keys_in_the_middle_only(self):
        arch = self.small | dict(num_layers=18)
        widths = [len(layer.attn.wk.weight) for layer in Sapiens2(arch).blocks]
        assert widths == [32] * 8 + [16] * 2 + [32] * 8

    @pytest.mark.parametrize(
        ("out_type", "shape"),
        [("featmap", (1, 32, 3, 2)), ("raw", (1, 15, 32)), ("cls_token", (1, 32))],
    )
    def test_outputs_have_the_promised_shapes(self, out_type, shape):
        net = Sapiens2(self.small, (64, 48), out_indices=[0, -1], out_type=out_type)
        net.init_weights()
        first, last = net(torch.randn(1, 3, 48, 32))
        assert first.shape == last.shape == shape
        assert not torch.equal(first, last)

    def test_rounded_angles_differ_a_little(self):
        exact = Sapiens2(self.small, (64, 48))
        exact.init_weights()
        rounded = Sapiens2(self.small, (64, 48), pos_embed_rope_dtype="bf16")
        rounded.load_state_dict(exact.state_dict())
        with torch.no_grad():
            apart = (exact(picture())[0] - rounded(picture())[0]).abs().max()
        assert 0 < apart < 0.05

    def test_frozen_layers_do_not_learn(self):
        net = Sapiens2(self.small, (64, 48), frozen_stages=2).train()
        assert not any(p.requires_grad for p in net.parameters())

    def test_depths_go_from_tokens_to_the_head(self):
        net = Sapiens2(self.small)
        names = ("backbone.storage_tokens", "backbone.blocks.1.ln1.weight", "backbone.ln1.weight")
        depths = [net.get_layer_depth(name, "backbone.")[0] for name in names]
        assert depths == [0, 2, 3]
        assert net.get_layer_depth("head.final_layer.bias", "backbone.") == (3, 4)

    @pytest.mark.parametrize(
        ("settings", "text"),
        [
            (dict(arch="sapiens2_2b"), "Arch sapiens2_2b is not in .*'sapiens2_1b'"),
            (dict(arch=dict(embed_dims=32)), "needs .*num_layers"),
            (dict(arch=small | dict(num_heads=3)), "no multiple of num_heads=3"),
            (dict(arch=small | dict(embed_dims=36, num_heads=6)), "a head of 6 channels"),
            (dict(arch=small, pos_embed_rope_dtype="fp16"), "pos_embed_rope_dtype"),
            (dict(arch=small, out_type="avg"), "out_type"),
        ],
    )
    def test_unknown_settings_are_told(self, settings, text):
        with pytest.raises(ConfigError, match=text):
            Sapiens2(**settings)

    def test_the_licence_of_its_weights_is_known(self):
        network = dict(backbone=dict(type="Sapiens2", arch="sapiens2_1b"))
        assert "Sapiens2 License" in licence_of_network(dict(model=network))


@pytest.mark.parametrize(("side", "way"), [(20, cv2.INTER_CUBIC), (200, cv2.INTER_LINEAR)])
def test_boxes_are_enlarged_cubically_and_made_smaller_linearly(side, way):
    noise = np.random.default_rng(0).integers(0, 256, (240, 240, 3), np.uint8)
    image = cv2.GaussianBlur(noise, (9, 9), 0)
    results = dict(
        img=image,
        bbox_center=np.array([[120.0, 120.0]], np.float32),
        bbox_scale=np.array([[side, side]], np.float32),
    )
    found = TopdownAffine((64, 64), use_udp=True, cubic=True).transform(dict(results))["img"]
    scale = side / 63
    inverse = np.array([[scale, 0, 120 - side / 2], [0, scale, 120 - side / 2]])
    expected = cv2.warpAffine(image, inverse, (64, 64), flags=way | cv2.WARP_INVERSE_MAP)
    assert np.abs(found.astype(int) - expected).max() <= 3
    other = TopdownAffine((64, 64), use_udp=True).transform(dict(results))["img"]
    assert np.array_equal(found, other) == (way == cv2.INTER_LINEAR)
