"""A corpus described by a manifest file: the way in for recordings that no adapter knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fusekit.contracts import Clip, Corpus, Rejected
from fusekit.data.manifest import read_manifest
from fusekit.errors import DataError


class ManifestCorpus(Corpus):
    """Clips listed in a CSV file, one row each (docs/manifest.md).

    Args:
        path: the manifest; paths inside it are relative to its folder.
    """

    def __init__(self, *, path: Path) -> None:
        self.path = Path(path).expanduser()
        self._read = ""
        self.doubts: tuple[str, ...] = ()

    def load(self, modalities: Sequence[str], dims: Sequence[str]) -> tuple[list[Clip], list[Rejected]]:
        if not self.path.is_file():
            raise DataError(
                f"{self.path}: no such file. Set corpus.path to your manifest (that of a run is in its "
                f"recipe.yaml); a relative one is looked for from the folder you are in, {Path.cwd()}."
            )
        manifest = read_manifest(self.path, modalities, dims)
        self.label_range = manifest.label_range
        mapped = ", each mapped to -1..1" if ", " in manifest.ranges or " and " in manifest.ranges else ""
        self.doubts = manifest.doubts
        self._read = f", {len(manifest.clips)} clips, labels {manifest.ranges}{mapped}"
        return manifest.clips, manifest.rejected

    def describe(self) -> str:
        return f"manifest {self.path}{self._read}"
