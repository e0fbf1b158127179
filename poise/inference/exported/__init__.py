"""Exported files in the place of torch models: crops -> runtime -> codec, all numpy.

`opening` loads a file and says which network it is: `topdown`, `topdown_3d`, `people` (one-stage
models) or `maps` (bottom-up models). `cache` exports torch models that a runtime shall run.
`deployed` reads files of MMDeploy, and `origins` finds what these do not say; `fetched` unpacks
archives.
"""
