"""The command line: one thin file a command; `main` mounts them lazily."""
