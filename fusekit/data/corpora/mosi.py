"""CMU-MOSI (Zadeh et al. 2016) as features of utterances (Poria et al., ACL 2017), binary sentiment."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fusekit.contracts import Clip, Corpus, Labels, Rejected, Source
from fusekit.data.cache import kept
from fusekit.data.corpora.layout import check_request, natural
from fusekit.data.delimited import as_cells, no_number
from fusekit.errors import DataError

LAYOUT = "transcripts.csv, text_{0}.csv, audio/audio_{0}0.csv and video/video_{0}0.csv, {0}: train and test"
MODALITIES = ("text", "audio", "video")
SENTIMENT = "sentiment"
PARTS = ("train", "test")
_NAME = re.compile(r"(.+)_(\d+)")


class MosiCorpus(Corpus):
    """CMU-MOSI: modalities `text`, `audio`, `video` as vectors, dimension `sentiment`, 0 or 1.

    A clip is one video of somebody's opinion, its utterances are steps at 1 Hz (utterance k of a clip at k
    seconds, whatever their true times, which the files do not tell). Training and test videos are the
    corpus's own, 62 and 31; speakers are not named, so the subject is the video, and validation is carved out
    of the training videos.

    Layout, no headers: `text_train.csv` holds per row the line of `transcripts.csv` (from 0) and 100 numbers;
    `audio/audio_train0.csv` 73 and `video/video_train0.csv` 100 numbers and the label, in the same order of
    rows; the same for `test`. **That order is by label**, so rows are put back into the order of their
    video's utterances by their names in the transcripts. The per-clip tables that the reader `features` opens
    are kept in the cache folder.

    Args:
        root: folder that holds transcripts.csv.
    """

    modalities = MODALITIES
    dims = (SENTIMENT,)
    label_range = (0.0, 1.0)

    def __init__(self, *, root: Path) -> None:
        self.root = Path(root).expanduser()
        self._found = "not read yet"

    def load(self, modalities: Sequence[str], dims: Sequence[str]) -> tuple[list[Clip], list[Rejected]]:
        check_request("CMU-MOSI", self.root, modalities, dims, (MODALITIES, (SENTIMENT,)))
        lines = _rows(self._file("transcripts.csv"), 4)
        clips: list[Clip] = []
        for part in PARTS:
            clips += self._part(part, lines, modalities, dims)
        counts = ", ".join(f"{sum(c.split == part for c in clips)} {part} videos" for part in PARTS)
        steps = sum(len(c.labels.times) for c in clips if c.labels is not None)
        self._found = f"{counts}, {steps} utterances"
        return sorted(clips, key=lambda c: c.id), []

    def describe(self) -> str:
        return f"CMU-MOSI, features of utterances ({self._found}; research use), sentiment 0 or 1"

    def _part(
        self, part: str, lines: list[list[str]], modalities: Sequence[str], dims: Sequence[str]
    ) -> list[Clip]:
        file = self._file(f"text_{part}.csv")
        numbers = _numbers(file)
        given = numbers[:, 0]
        line = np.where((given >= 0) & (given < len(lines)), given, -1).astype(np.int64)
        if (line != given).any() or (line < 0).any() or len(np.unique(line)) < len(line):
            raise DataError(
                f"{file}: its first column must hold each a line of transcripts.csv (0 to {len(lines) - 1}), "
                "none of them twice; copy the folder again"
            )
        labels = np.array([_label(self._file("transcripts.csv"), lines[i], i) for i in line])
        tables = {"text": numbers[:, 1:]}
        for m in (m for m in modalities if m != "text"):
            tables[m] = self._beside(f"{m}/{m}_{part}0.csv", labels)
        utterances: dict[str, list[tuple[int, int]]] = {}
        for row, i in enumerate(line):
            name = _NAME.fullmatch(lines[i][0])
            if name is None:
                file = self._file("transcripts.csv")
                raise DataError(f"{file}: line {i + 1}: {lines[i][0]!r} is no name video_utterance")
            utterances.setdefault(name[1], []).append((int(name[2]), row))
        clips = []
        for video in sorted(utterances, key=natural):
            rows = [row for _, row in sorted(utterances[video])]
            values = labels[rows, None] if dims else np.empty((len(rows), 0))
            clips.append(
                Clip(
                    video,
                    video,
                    {m: Source(_table(tables[m][rows]), None, 0.0, 1.0) for m in modalities},
                    Labels(
                        np.arange(len(rows), dtype=np.float64),
                        values.astype(np.float32),
                        tuple(dims),
                        extra={"utterance": np.array([lines[line[row]][0] for row in rows])},
                    ),
                    split=part,
                )
            )
        return clips

    def _beside(self, name: str, labels: np.ndarray) -> np.ndarray:
        """A table whose rows stand in the order of the text's, without its last column, the label."""
        numbers = _numbers(self._file(name))
        if len(numbers) != len(labels) or (numbers[:, -1] != labels).any():
            raise DataError(
                f"{self.root / name}: its labels (last column) are not those of the transcripts in the order "
                "of the text's rows, so nobody knows which utterance a row belongs to; copy the folder again"
            )
        return numbers[:, :-1]

    def _file(self, name: str) -> Path:
        path = self.root / name
        if not path.is_file():
            raise DataError(f"{path}: no such file. Expected in {self.root}: {LAYOUT.format('train')}")
        return path


def _rows(path: Path, cells: int | None = None) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as fault:
        raise DataError(f"{path}: this is not a CSV text file in UTF-8 ({fault})") from fault
    cells = cells or (len(rows[0]) if rows else 0)
    for number, row in enumerate(rows, 1):
        if len(row) != cells:
            raise DataError(f"{path}: line {number} has {len(row)} cells, expected {cells}")
    if not rows:
        raise DataError(f"{path}: there is no row in it")
    return rows


def _numbers(path: Path) -> np.ndarray:
    found = []
    for line, cells in enumerate(_rows(path), 1):
        values, word = as_cells([cell.strip() for cell in cells])
        if word is not None:
            raise DataError(f"{path}: line {line}, cell {word + 1}: {no_number(cells[word])}")
        found.append(values)
    return np.stack(found)


def _label(path: Path, cells: Sequence[str], line: int) -> float:
    if cells[3] not in ("0", "1"):
        raise DataError(f"{path}: line {line + 1}: the label {cells[3]!r} is neither 0 nor 1")
    return float(cells[3])


def _table(values: np.ndarray) -> Path:
    content = io.BytesIO()
    np.save(content, values.astype(np.float32), allow_pickle=False)
    return kept(content.getvalue(), "tables", ".npy", "feature tables")
