"""`python -m poise.cli`, for when the `poise` script is not on the path."""

from poise.cli.main import main

main()
