"""Top-down heatmap models ("td-hm"): a backbone, perhaps deconvolutions, one map a keypoint."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from poise.zoo.families import cspnext
from poise.zoo.index import WEIGHTS_BASE
from poise.zoo.name import Name, parse
from poise.zoo.parts import codecs, heads, schedules
from poise.zoo.parts.assembly import ABSENT, Tree, matching, replaced
from poise.zoo.parts.backbones import SWIN_WEIGHTS, VITPOSE_SIZES, Backbone, backbone
from poise.zoo.parts.datasets import TILTED, Binding, binding, count, metainfo_of
from poise.zoo.parts.heads import loss
from poise.zoo.parts.mixtures import coco_with_aic, validated_on, whole_body_val, with_ubody
from poise.zoo.parts.pipelines import topdown_test, topdown_train
from poise.zoo.parts.runtime import scoped
from poise.zoo.parts.topdown import estimator, flip_test, frame
from poise.zoo.weights import weights_url

__all__ = ["recipe"]

_HOLES = dict(
    max_holes=8, max_height=40, max_width=40, min_holes=1, min_height=10, min_width=10, p=0.5
)
_GRID = dict(unit_size_min=10, unit_size_max=40, random_offset=True, p=0.5)

_SWIN_384 = {
    "model.backbone.init_cfg.checkpoint": f"{SWIN_WEIGHTS}swin_base_patch4_window12_384_22k.pth"
}


def _more_varied(change: Tree) -> Tree:
    """HRNet-W32 trained further with one more change of the picture."""
    return dict(varied=dict(extra=[change]), start="td-hm_hrnet-w32_8xb64-210e_coco-256x192")


def _albumentation(kind: str, settings: Tree) -> Tree:
    return dict(type="Albumentation", transforms=[dict(type=kind) | settings])


_TRANSFORMER = "absolute_pos_embed relative_position_bias_table norm"

#: name patterns -> what those models have otherwise: arguments of `_tree`; later rows win
_DIFFERENT: dict[str, Tree] = {
    # the rate is meant for 8 x 64 although the batch is smaller
    "*_hrnet-w48_*xb32-210e_co* *_hrnet-w48_*_humanart-* *_litehrnet-*_coco-3* "
    "*_res152_8xb32-210e_coco-* *_hourglass52_8xb32-210e_[cm]*-[23]* *_cpm_*_coco-3* "
    "*152_8xb32-210e_coco-256* *_resnest269_8xb32-* *_scnet101_*_coco-* "
    "*_res50_8xb32-210e_onehand10k-*": dict(scale=512),
    "*-wholebody-hand-*": dict(scale=256),
    # or for one device
    "*_res50_*_deepfashion_[lu]* *_res101_*_deepfashion_[lu]*": dict(scale=64),
    # loaders
    "*mspn50_* *rsn[15]* *_ViTPose-* *_ap10k-*": dict(workers=4),
    "*_scnet101_8xb32-* *_scnet50_8xb32-*_coco-3*": dict(workers=1),
    "*_resnest*_8xb16-* *_hrnet-w32_8xb64-210e_mpii-*": dict(val_batch=16),
    "*_hrnet-w32_8xb64-210e_mpii-*": dict(batch=16, scale=512),
    "*_300wlp-*": dict(batch=2, scale=512),
    "*_res101_8xb32-210e_coco-384*": dict(val_batch=64),
    "*_deepfas*": dict(log_interval=10),
    "*_deepfashion_*": dict(test_name="val_pipeline test_pipeline"),
    # what training goes on from
    "*_res50*_jhmdb-*": dict(follows="td-hm_res50_8xb64-210e_mpii-256x256"),
    "*_hrnet-w32_*_posetrack18-*": dict(follows="td-hm_hrnet-w32_8xb64-210e_coco-{size}"),
    "*_hrnet-w48_*_posetrack18-*": dict(follows="td-hm_hrnet-w48_8xb32-210e_coco-{size}"),
    "*_res50_*_posetrack18-*": dict(
        load_from=f"{WEIGHTS_BASE}top_down/resnet/res50_coco_256x192-ec54d7f3_20200709.pth",
        no_boxes=True,
    ),
    # optimization
    "*-60e_*": dict(optimizer=schedules.adam(2e-3)),
    "*mspn50_* *rsn50_*": dict(optimizer=schedules.adam(5e-3)),
    "*_rsn18_*": dict(
        optimizer=schedules.adam(2e-2), scheduler=schedules.steps(210, [170, 190, 200])
    ),
    "*_hrformer-*": dict(optimizer=schedules.adamw(custom_keys="relative_position_bias_table")),
    "*_swin-l-*": dict(optimizer=schedules.adamw(custom_keys=_TRANSFORMER)),
    **{
        f"*_ViTPose-{size}*": dict(optimizer=schedules.layer_decay_adamw(layers, decay))
        for size, (_, layers, _, decay) in VITPOSE_SIZES.items()
    },
    "*_ViTPose-*": dict(max_keep=1, custom_imports=schedules.LAYER_DECAY_IMPORTS),
    "*_fp16-*": dict(
        optimizer=schedules.adam() | dict(type="AmpOptimWrapper", loss_scale="dynamic")
    ),
    "*_animalkingdom_*": dict(
        scale=512,
        val_batch=24,
        optimizer=dict(optimizer=dict(type="AdamW", lr=5e-4)),
        scheduler=schedules.steps(210),
    ),
    "*-wholebody-face-*": dict(scheduler=schedules.steps(60, end=210)),
    "*_cofw-*": dict(scheduler=schedules.steps(60, end=50)),
    "*-20e_jhmdb-*": dict(scheduler=schedules.steps(20, [8, 15])),
    # left over in the released files, without effect
    "*_hrformer-* *_pvt* *_swin-* *_posetrack18-*": dict(
        norm_cfg=dict(type="SyncBN", requires_grad=True)
    ),
    "*_hrformer-* *rsn[15]*": dict(fp16=dict(loss_scale="dynamic")),
    "*_uniformer-*": dict(
        norm_cfg=dict(type="SyncBN", requires_grad=True),
        custom_imports=dict(imports="projects.uniformer.models"),
        find_unused_parameters=True,
        head=dict(final_layer=dict(kernel_size=1)),
        val_batch=256,
        project=True,
    ),
    "*_uniformer-?-8xb128-*": dict(optimizer=schedules.adam(2e-3)),
    "*_uniformer-?-8xb64-*": dict(optimizer=schedules.adam(1e-3)),
    "*_uniformer-b-8xb32-*-384*": dict(batch=128, scale=512),
    "*_uniformer-b-8xb32-*-448*": dict(changes={"model.backbone.drop_path_rate": 0.55}),
    "*_uniformer-*-256*": dict(changes={"default_hooks.checkpoint.interval": 5}),
    "*_uniformer-s-8xb128-*-256*": dict(batch=32, scale=1024),
    # data
    "*_litehrnet-[13]* *_vipnas-* *_cpm_*_mpii-*": dict(box=TILTED["box"]),
    "*_hourglass52_*-hand-* *_hrnetv2-w18_8xb32*-hand-*": dict(varied=dict(flip="before")),
    "*mspn50_* *rsn[15]*": dict(
        varied=dict(target=dict(multilevel=True)), metric=dict(nms_mode="none")
    ),
    "*_coarsedropout-*": _more_varied(_albumentation("CoarseDropout", _HOLES)),
    "*_gridmask-*": _more_varied(_albumentation("GridDropout", _GRID)),
    "*_photometric-*": _more_varied(dict(type="PhotometricDistortion")),
    # models
    "*_alexnet_*": dict(map_size=(40, 56)),
    "*_300w*-* *_cofw-*": dict(sigma=1.5),
    "*_swin-*-384* *_hourglass52_*_mpii-384*": dict(sigma=2),
    "*_res152_dark-*_coco-384*": dict(codec=dict(blur_kernel_size=17)),
    "*_udp-regress-*": dict(
        codec=dict(heatmap_type="combined"),
        # each keypoint has a map and two offsets
        head=dict(out_channels=3 * count("coco"), loss=loss("CombinedTargetMSELoss")),
        changes={
            "model.train_cfg": dict(compute_acc=False),
            "model.test_cfg.flip_mode": "udp_combined",
        },
    ),
    "*_swin-l-*-384*": dict(changes=_SWIN_384),
    "*_swin-b-*-384*": dict(changes=_SWIN_384 | {"model.backbone.window_size": 12}),
    "*_ViTPose-[lh]*_humanart-*": dict(
        changes={
            "model.backbone.type": "mmcls.VisionTransformer",
            "model.backbone.output_cls_token": False,
            "model.backbone.out_type": ABSENT,
        }
    ),
    "*_awing-*": dict(head=dict(loss=loss("AdaptiveWingLoss"))),
}


def recipe(stem: str) -> Tree:
    """Config tree of a released top-down heatmap model."""
    name = parse(stem)
    settings = matching(_DIFFERENT, stem)
    if stem.startswith("cspnext-"):
        return cspnext.recipe(stem)
    if name.data == "coco-aic":
        return _with_aic(name, settings)
    if name.data == "ubody":
        return _with_ubody(name)
    if name.variant == "udp" and name.data.startswith("deepfashion_"):
        return _renamed_udp(name, settings)
    return _tree(name, binding(name.data), **settings)


def _tree(
    name: Name,
    data: Binding,
    *,
    batch: int | None = None,
    codec: Tree | None = None,
    sigma: float | None = None,
    map_size: tuple[int, int] | None = None,
    head: Tree | None = None,
    start: str | None = None,
    follows: str | None = None,
    no_boxes: bool = False,
    box: Tree | None = None,
    varied: Tree | None = None,
    project: bool = False,
    **settings: Any,
) -> Tree:
    """Tree of a model with its own settings and those that the frame takes.

    Args:
        name: parts of the name.
        data: the dataset.
        batch: training samples on a device, where the name says otherwise.
        codec: further settings of the codec.
        sigma: of the heatmaps, in their pixels.
        map_size: width and height of the heatmaps.
        head: other settings of the head.
        start: model whose backbone is taken over.
        follows: model that training goes on from.
        no_boxes: validate with annotated boxes.
        box: settings of the random box on top of the dataset's.
        varied: settings of the training pipeline on top of the dataset's.
        project: the file is one of MMPose's projects.
        settings: for `frame`.
    """
    name = replace(name, batch=batch or name.batch)
    network, _, deconvs = name.network.partition("-2")
    points = count(data.schema)
    base = backbone(f"cpm-{points}" if network == "cpm" else network)
    if start is not None:
        base = base.started_from(weights_url(start), prefix="backbone.")
    if follows is not None:
        base = base.started_from(None)
        size = name.stem.rpartition("-")[2]
        settings["load_from"] = weights_url(follows.format(size=size))
    if no_boxes:
        data = data.changed(boxes={})
    used = _codec(name, base, 8 if deconvs else None, sigma, codec or {})
    if isinstance(used, list):
        settings["kernel_sizes"] = [level["kernel_size"] for level in used]
    elif map_size is not None:
        used["heatmap_size"] = map_size
    if name.network.startswith("ViTPose") and name.data == "humanart":
        base = base.started_from(base.cfg["init_cfg"]["checkpoint"].replace("_20230913", ""))
    is_udp = isinstance(used, list) or used["type"] == "UDPHeatmap"
    model_head = _head(name, base, points, used, bool(deconvs)) | (head or {})
    neck = {} if base.neck is None else dict(neck=base.neck)
    model = estimator(base.cfg, model_head, flip_test(shift=not is_udp), **neck)
    varied = _cut(used, data) | (varied or {})
    if box is not None:
        varied["box"] = data.varied.get("box", {}) | box
    tree = frame(name, data, model, used, varied=varied, seen=_cut(used, data), **settings)
    return scoped(tree, "custom_hooks") if project else tree


def _cut(codec: Tree | list[Tree], data: Binding) -> Tree:
    # the UDP recipes for hands cut without UDP
    hand = data.schema in ("onehand10k", "rhd2d")
    is_udp = isinstance(codec, dict) and codec["type"] == "UDPHeatmap"
    return dict(udp=True) if is_udp and not hand else {}


def _codec(
    name: Name, base: Backbone, stride: int | None, sigma: float | None, more: Tree
) -> Tree | list[Tree]:
    kind = base.cfg["type"]
    if kind in ("MSPN", "RSN"):
        # a stage's targets are one level coarser than those of the stage after it
        kernels = [11, 9, 7, 5] if base.cfg["num_stages"] == 1 else [15, 11, 9, 7, 5]
        return codecs.megvii(name.size, kernels)
    stride = stride or (8 if kind == "CPM" else 4)
    if name.variant == "dark":
        return codecs.msra(name.size, stride, sigma, unbiased=True, **more)
    if name.variant.startswith("udp") or name.network.startswith("ViTPose"):
        return codecs.udp(name.size, stride, sigma, **more)
    return codecs.msra(name.size, stride, sigma, **more)


def _head(name: Name, base: Backbone, points: int, codec: Tree | list[Tree], coarse: bool) -> Tree:
    if isinstance(codec, list):
        return heads.mspn_head(base, points, codec)
    kind = base.cfg["type"]
    if kind in ("CPM", "HourglassNet"):
        return heads.cpm_head(base, points, codec)
    if kind.startswith("ViPNAS"):
        return heads.vipnas_head(base, points, codec)
    if name.network.startswith("hrnetv2"):
        return heads.stacked_head(base, points, codec)
    if name.network.endswith("-simple"):
        return heads.simple_head(base, points, codec)
    return heads.heatmap_head(base, points, codec, deconvs=2 if coarse else None)


def _with_aic(name: Name, settings: Tree) -> Tree:
    """Models of COCO and AI Challenger, "merge"d into 17 keypoints or "combine"d into 19."""
    if name.suffix == "merge":
        tree = coco_with_aic(_tree(name, binding("coco"), **settings), target="coco")
        if name.method == "td-hm-vis":
            head = dict(
                type="VisPredictHead",
                loss=loss("BCELoss", use_sigmoid=True, loss_weight=0.001),
                pose_cfg=tree["model"]["head"],
            )
            tree = replaced(tree, {"model.head": head})
        return tree
    points = count("coco")
    both = {
        "model.metainfo": metainfo_of("coco_aic"),
        "model.head.out_channels": count("coco_aic"),
        "model.test_cfg.output_keypoint_indices": list(range(points)),
    }
    return coco_with_aic(replaced(_tree(name, binding("coco"), max_keep=3, **settings), both))


def _renamed_udp(name: Name, settings: Tree) -> Tree:
    """UDP for DeepFashion, of which the released files change names but not what is used."""
    tree = _tree(replace(name, variant=""), binding(name.data), **settings)
    codec = codecs.udp(name.size)
    return replaced(
        tree,
        {
            "codec": codec,
            "model.test_cfg": flip_test(shift=False),
            "train_pipeline": topdown_train(name.size, codec, udp=True),
            "val_pipeline": topdown_test(name.size, udp=True),
        },
    )


def _with_ubody(name: Name) -> Tree:
    """A model of COCO-WholeBody and the scenes of UBody."""
    tree = _tree(name, binding("coco-wholebody"))
    whole = whole_body_val(tree["val_pipeline"], "data/coco/val2017/")
    return validated_on(with_ubody(tree), whole)
