"""MMPose's path of the hooks, which live in `poise.training.hooks`."""
