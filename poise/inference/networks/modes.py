"""How carefully to look: accurate, balanced or fast."""

from __future__ import annotations

from typing import NamedTuple

from poise.errors import UnknownNameError, one_of

__all__ = ["MODES", "Mode", "mode_of", "pick_model"]


class Mode(NamedTuple):
    """What a mode settles where the caller does not.

    Attributes:
        flip_test: False: never; None: as the model's config says.
        detector_every: the detector looks at every n-th frame of a video.
        tuned: the network is rearranged for speed (`poise.inference.networks.tuning`); its numbers
            change in the last digits.
        half: 16-bit numbers, where the machine computes with them faster.
        models: what "auto" looks for on this machine, best first.
        embedded: what it takes otherwise.
    """

    flip_test: bool | None
    detector_every: int
    tuned: bool
    half: bool
    models: tuple[str, ...]
    embedded: str


#: People's models by their published keypoint AP on COCO val, best first.
_LARGE = (
    "td-hm_ViTPose-huge_8xb64-210e_coco-256x192",
    "td-hm_ViTPose-large_8xb64-210e_coco-256x192",
    "rtmpose-l_8xb256-420e_aic-coco-384x288",
    "rtmpose-m_8xb256-420e_aic-coco-384x288",
    "td-hm_hrnet-w48_udp-8xb32-210e_coco-384x288",
)
_MEDIUM = (
    "rtmpose-l_8xb256-420e_aic-coco-256x192",
    "rtmpose-m_8xb256-420e_aic-coco-256x192",
    "rtmpose-l_8xb256-420e_coco-256x192",
    "td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192",
    "rtmpose-m_8xb256-420e_coco-256x192",
)
_SMALL = (
    "rtmpose-s_8xb256-420e_aic-coco-256x192",
    "rtmpose-s_8xb256-420e_coco-256x192",
    "rtmpose-t_8xb256-420e_aic-coco-256x192",
    "rtmpose-t_8xb256-420e_coco-256x192",
)

MODES = {
    "accurate": Mode(None, 1, False, False, _LARGE + _MEDIUM + _SMALL, "movenet-thunder"),
    "balanced": Mode(False, 1, True, False, _MEDIUM + _SMALL + _LARGE, "movenet-thunder"),
    "fast": Mode(False, 5, True, True, _SMALL + _MEDIUM, "movenet-lightning"),
}


def mode_of(name: str) -> Mode:
    """Mode of a name.

    Raises:
        UnknownNameError: another name.
    """
    return MODES[one_of(name, MODES, "mode", UnknownNameError)]


def pick_model(mode: Mode) -> tuple[str, str]:
    """Name of the model that "auto" means, and why, in a few words.

    Nothing is downloaded: weights that are on this machine already count, and the embedded ones.
    """
    from poise.zoo import default_weights

    for name in mode.models:
        path = default_weights(name)
        if path is not None:
            return name, f"the best one on this machine, {path}"
    return mode.embedded, "embedded; --model chooses another"
