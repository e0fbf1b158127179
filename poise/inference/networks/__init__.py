"""From places in pictures to poses: what runs a batch, with torch.

`loading` loads a model; `crops` (and `device_crops`) make the batch; `choosing` takes `topdown`,
the quick way, or `any_model`, which suits all; both are a `network.Network` and answer with
`network.Poses`. `support` tells a model by labelled pictures what to look for. `modes` says how
carefully to look, `tuning` rearranges a model for speed; `heat`
and `direct3d` are what else a network may say. Nothing here imports torch before a torch model
comes.
"""
