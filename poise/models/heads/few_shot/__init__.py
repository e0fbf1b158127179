"""Pose Anything's head: keypoints of labelled pictures, found again in other pictures.

`positions` encodes places, `proposals` says where each keypoint may be, `decoder` moves them there
along the skeleton, `transformer` joins these, and `head` is what a config names.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "decoder": "GraphDecoder GraphLayer adjacency",
        "head": "PoseHead TokenDecodeMLP",
        "positions": "LearnedPositionalEncoding SinePositionalEncoding",
        "proposals": "ProposalGenerator",
        "transformer": "EncoderDecoder",
    },
)
