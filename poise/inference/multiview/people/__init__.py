"""Cameras from the people whom several of them see, without a board.

`calibrating` is where to begin. `starting` relates cameras, `solving` takes them together:
`observing` says what is seen, `adjusting` makes all fit at once. `grounding` gives metres and the
floor, `body` what is known of people, `report` what was found, and `judging` says what is too
little.
"""
