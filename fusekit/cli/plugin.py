"""`fusekit plugin`: for those who write plugins."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="For authors of plugins.")


@app.callback()
def _group() -> None:
    """For authors of plugins."""
