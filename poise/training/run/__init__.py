"""One run from start to end, beneath the runner.

`start` says which weights it begins with, `loops` which batch comes next; `engine` calls Lightning,
`checkpoint` writes and reads files, `signals` stops a run between two batches.
"""
