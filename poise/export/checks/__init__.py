"""A file beside the model that it was made of.

`parity` compares raw outputs, `agreement` poses on made pictures. On a user's `pictures`, `looking`
runs both, `scoring` gives figures, `accuracy` says whether the file loses too much, and `timing`
how long an input takes.
"""
