"""Write `layout.json` and `reference.npz`: what the package rfdetr 1.11 gives for tiny networks.

It needs that package: python -m tests.models.rf_detr.update_reference
"""

import json

import numpy as np
import torch

from tests.models.rf_detr.made import CASES, FOLDER, NARROW, SETTINGS, filled, pixels


def main():
    import rfdetr.models.backbone.dinov2 as dinov2
    from rfdetr.config import RFDETRKeypointPreviewConfig
    from rfdetr.models.lwdetr import build_model_from_config
    from rfdetr.models.postprocess import PostProcess
    from rfdetr.utilities.keypoints import precision_cholesky_to_pixel_covariance

    usual = dinov2.get_config
    dinov2.get_config = lambda size, registers: usual(size, registers) | NARROW
    dinov2.size_to_width["small"] = NARROW["hidden_size"]

    layout, reference = {}, {}
    for case, (settings, _, size) in CASES.items():
        config = RFDETRKeypointPreviewConfig(
            **SETTINGS | settings, pretrain_weights=None, device="cpu"
        )
        network = build_model_from_config(config).eval()
        state = network.state_dict()
        network.load_state_dict(filled(state))
        layout[case] = {key: list(value.shape) for key, value in state.items()}
        with torch.no_grad():
            outputs = network(pixels(case))
        names = ("pred_logits", "pred_boxes", "pred_keypoints")
        decode = PostProcess(config.num_select, config.num_keypoints_per_class)
        (found,) = decode({name: outputs[name] for name in names}, torch.tensor([size]))
        factors = found.pop("keypoint_precision_cholesky").numpy()
        sizes = np.tile(np.array(size, np.float32), (len(factors), 1))
        found["covariances"] = precision_cholesky_to_pixel_covariance(factors, sizes)
        found |= {name: outputs[name][0] for name in names}
        reference |= {f"{case}/{name}": np.asarray(value) for name, value in found.items()}
    np.savez_compressed(FOLDER / "reference.npz", **reference)
    (FOLDER / "layout.json").write_text(json.dumps(layout, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
