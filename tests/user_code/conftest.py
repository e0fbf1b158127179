"""The folders `project` and `guides` are a user's code, not tests."""

collect_ignore = ["project", "guides"]
