"""Media of a SEWA clip: the picture from its film, the voice from its sound file or else from the film."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fusekit.contracts import Clip, Source
from fusekit.data.corpora.layout import why_unusable
from fusekit.errors import DataError
from fusekit.media import probe


def pick(
    film: Path | None, sound: Path | None, modalities: Sequence[str]
) -> tuple[dict[str, Source], list[str]]:
    """Sources of the modalities that there are, and for each other one why not."""
    sources: dict[str, Source] = {}
    faults: list[str] = []
    for modality in modalities:
        try:
            if modality == "face":
                path = _usable(film, "video")
            elif sound is not None or film is None:
                path = _usable(sound, "sound file")
            else:
                path = _usable(film, "video")
                if not probe(path).has_audio:
                    raise DataError(f"no sound file, and {path.name} has no sound track")
            sources[modality] = Source(path)
        except DataError as why:
            faults.append(f"no {modality}: {why}")
    return sources, faults


def _usable(path: Path | None, what: str) -> Path:
    if path is None:
        raise DataError(f"there is no {what}")
    if fault := why_unusable(path):
        raise DataError(fault)
    return path


def film_rate(clips: Sequence[Clip]) -> list[str]:
    """The probed rate of the first film, for `describe`; all are read at their own."""
    path = next((c.sources["face"].path for c in clips if "face" in c.sources), None)
    if path is None:
        return []
    try:
        return [f"{probe(path).fps:.4g} frames/s in {path.name}"]
    except DataError:
        return [f"{path.name} cannot be read"]  # told in full when the clip is prepared
