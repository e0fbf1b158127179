"""One run from start to end, beneath the runner.

`loops` says which batch comes next, `engine` calls Lightning, `checkpoint` writes and reads files,
`signals` stops a run between two batches.
"""
