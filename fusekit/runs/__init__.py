"""A run: recipe, data, parts and engine in one directory that can be resumed and opened again."""

from fusekit.runs.data import Data, load_data
from fusekit.runs.run import Run, open_run
from fusekit.runs.training import train

__all__ = ["Data", "Run", "load_data", "open_run", "train"]
