"""The project folder is a user's code, not tests."""

collect_ignore = ["project"]
