"""Short runs before the long one.

`sanity` overfits a few samples, `tuning` searches for a batch size and a learning rate.
"""
