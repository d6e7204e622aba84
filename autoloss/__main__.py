"""`python -m autoloss`."""

from autoloss.cli import main

main()
