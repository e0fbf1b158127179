"""What of a model goes into a file.

`kinds` chooses who makes the `plan`: `topdown`, `one_stage`, `bottom_up`, `lifter`, `detectors` or
`nanodet`; `description` is what a reader must know besides the network.
"""
