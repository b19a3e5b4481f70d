"""SEWA: video chats and adverts, six cultures, three releases (Kossaifi et al. 2021, TPAMI 43(3))."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from fusekit.contracts import Clip, Corpus, Rejected
from fusekit.data.corpora import sewa_avec, sewa_native
from fusekit.data.corpora.layout import Skipped, check_request, nothing_usable
from fusekit.data.gold import How
from fusekit.errors import DataError, RecipeError

LAYOUT = "<name>/valence/<name>_Valence_A_Aligned.csv (native), or labels/Train_01.csv, audio/, video/ (AVEC)"
_DIMS = ("valence", "arousal", "liking")


class SewaCorpus(Corpus):
    """SEWA: modalities `face` and `voice`; valence, arousal, liking. The variant decides range and split.

    - **native** (db.sewaproject.eu): `<name>/` with `metadata.ini`, wav, avi, and
      `valence/<name>_Valence_<A|V|AV>_Aligned.csv` (commas, a header with `frame`, a row per video frame).
      Range 0..1, midpoint 0.5; if more than a hundredth of the values are below 0, -1..1, which `describe`
      tells. Times: frames / the video's probed rate. No split: both partners of a chat share a session.
    - **AVEC 2017** (`labels/Train_01.csv`, German) and **AVEC 2018/2019 CES** (`labels/Train_DE_01.csv`, with
      a header in 2019): semicolons, quoted instance, seconds, arousal, valence, liking; range -1..1. Train,
      Devel and Test are the splits; labels of Test were withheld, such clips are left out and listed. Pairs
      are not named: only the official partition keeps partners apart.

    `SEW_labels_*_gold_shifted.csv` (someone's, shifted already) are named and not read. Licensed.

    Args:
        root: folder that holds the recordings' folders or `labels`.
        gold: native only: "mean" or "ewe" of all value columns (`fusekit.data.gold`), or the "first" alone,
            which is what the AViGaS loader reads.
        annotation_source: native only: rated from the sound (A), the picture (V) or both (AV), as the file
            names seem to say.
    """

    label_range = (0.0, 1.0)

    def __init__(
        self,
        *,
        root: Path,
        gold: How | Literal["first"] = "mean",
        annotation_source: Literal["A", "V", "AV"] = "A",
    ) -> None:
        for key, given, known in (
            ("gold", gold, ("mean", "ewe", "first")),
            ("annotation_source", annotation_source, ("A", "V", "AV")),
        ):
            if given not in known:
                raise RecipeError(f"sewa: {key} is one of {', '.join(known)}, not {given!r}")
        self.root = Path(root).expanduser()
        self.gold, self.annotation_source = gold, annotation_source
        self._found = "not read yet"

    def load(self, modalities: Sequence[str], dims: Sequence[str]) -> tuple[list[Clip], list[Rejected]]:
        check_request("SEWA", self.root, modalities, dims, (("face", "voice"), _DIMS))
        skipped = Skipped()
        shifted = sorted(p for p in self.root.rglob("*.csv") if sewa_avec.is_shifted(p))
        for path in shifted:
            reason = "labels already shifted for the raters' lag (somebody's copy); compensating again would"
            skipped.add(str(path.relative_to(self.root)), f"{reason} shift twice")
        avec, native = sewa_avec.is_here(self.root), sewa_native.is_here(self.root)
        if avec and native:
            raise DataError(
                f"{self.root}: holds an AVEC release (labels/) and native folders (valence/), whose "
                "labels have different ranges: set corpus.root to one of them alone"
            )
        if avec:
            read = sewa_avec.read(self.root, modalities, dims, skipped)
        else:
            read = sewa_native.read(self.root, modalities, dims, self.gold, self.annotation_source, skipped)
        if not read.clips:
            raise nothing_usable("SEWA", self.root, LAYOUT, skipped)
        self.label_range = read.label_range
        self._found = "; ".join([*read.said, f"{len(skipped.rows)} files, clips or rows not used"])
        return read.clips, skipped.rows

    def describe(self) -> str:
        low, high = self.label_range
        return f"SEWA ({self._found}; licensed), labels {low:g}..{high:g}"
