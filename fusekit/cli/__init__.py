"""The command line. Only Typer is imported before a command runs; the rest is imported inside the bodies."""

import errno
import os
import sys

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main() -> None:
    """Entry point of the console script `fusekit`."""
    from fusekit.cli.app import app

    try:
        try:
            app(prog_name="fusekit")
        finally:
            sys.stdout.flush()  # a small output fails only here
    except OSError as error:
        if error.errno not in _FULL or error.filename is not None:
            raise
        # What is left in the buffer would fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stderr.write(f"fusekit: the output cannot be written: {error.strerror}.\n")
        sys.exit(2)
