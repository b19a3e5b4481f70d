"""Files looked into without decoding them: which tracks they hold, how long those are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from fusekit.contracts import Clip, Reader, Source
from fusekit.data.content import reading
from fusekit.data.detectors import BoxTrack
from fusekit.errors import DataError
from fusekit.media import probe


def longest(
    clip: Clip, media: Mapping[str, Sequence[str]], readers: Mapping[str, Sequence[Reader]]
) -> dict[str, float]:
    """Seconds of each of a clip's files, each looked into by the one who knows its kind.

    Raises:
        DataError: a file lacks a track that is read from it or cannot be opened, or nobody knows any of them.
    """
    found: dict[str, float] = {}
    unknown = {}
    for m, source in clip.sources.items():
        if m in readers:
            with reading(source.path):
                streams = [reader.prepare(source) for reader in readers[m]]
            found[m] = max(float(np.asarray(stream["duration_s"]).reshape(-1)[0]) for stream in streams)
            continue
        try:
            found[m] = _duration(source, media.get(m, ()))
        except DataError as fault:
            if m in media:
                raise
            unknown[m] = fault
    if not found:
        raise DataError(
            f"{'; '.join(map(str, unknown.values()))} If {' and '.join(unknown)} is neither video nor sound, "
            "only a recipe says how to read it: fusekit data check RECIPE corpus.name=..."
        )
    return found


def _duration(source: Source, media: Collection[str]) -> float:
    info = probe(source.path)
    if source.boxes is not None and not np.isfinite(BoxTrack.read(source.boxes).boxes).all(axis=1).any():
        raise DataError(f"{source.boxes}: no row holds a face box, so no face could be read")
    if "video" in media and not info.has_video:
        raise DataError(f"{source.path}: there is no video track in it")
    if "audio" in media and not info.has_audio:
        raise DataError(f"{source.path}: there is no sound track in it")
    if source.step_s is not None and info.has_video:
        return info.frames * source.step_s  # the corpus knows better than the container
    return info.duration_s


def tracks_of(sources: Sequence[Source]) -> list[str]:
    """ "video", "audio": the tracks that all of these files hold; none if one of them is no media file."""
    held = []
    for source in sources:
        try:
            info = probe(source.path)
        except DataError:
            return []
        held.append((info.has_video and (info.fps > 0 or source.step_s is not None), info.has_audio))
    return [name for k, name in enumerate(("video", "audio")) if held and all(h[k] for h in held)]
