"""`python -m fusekit`: the same command line, also for the processes of `--devices N`."""

from fusekit.cli import main

main()
