"""`python -m skysy` is the `skysy` command."""

from skysy.cli import main

main()
