"""`python -m connector.cli`: the same as `mql`."""

from connector.cli import main

main()
