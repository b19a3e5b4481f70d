"""The command line. Only Typer is imported before a command runs; the rest is imported inside the bodies."""


def main() -> None:
    """Entry point of the console script `fusekit`."""
    from fusekit.cli.app import app

    app(prog_name="fusekit")
