"""From frames to results, in stages that overlap.

A frame becomes a job (`jobs`), learns where to look (`locating`), gets its poses (`posing`), and
its result passes tracking, smoothing and lifting (`stages`). `overlap` runs stages side by side.
"""
