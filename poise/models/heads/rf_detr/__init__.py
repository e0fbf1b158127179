"""RF-DETR with keypoints: queries are people, each of which has queries of its keypoints.

`decoder` looks at maps, `head` proposes people and predicts, `people` reads what was predicted.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "decoder": "RFDETRDecoder",
        "head": "RFDETRHead",
        "people": "People best_people log_mean_trace",
    },
)
