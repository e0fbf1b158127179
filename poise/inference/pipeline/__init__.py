"""From frames to poses, in stages that overlap.

A frame becomes a job (`jobs`), learns where to look (`locating`) and gets its poses (`posing`).
`overlap` runs these side by side.
"""
