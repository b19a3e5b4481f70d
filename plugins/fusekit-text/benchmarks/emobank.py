"""EmoBank as files that fusekit reads: a text file of sentences per document and part, labels, a manifest.

Documents of which a part has few sentences share a file.

    python benchmarks/emobank.py corpus/emobank.csv emobank

EmoBank (Buechel and Hahn, EACL 2017; github.com/JULIELab/EmoBank, CC BY-SA 4.0) rates English sentences from
1 to 5. Its split is by sentence, so documents stand in several parts; `dev` becomes our test part, and a
tenth of `train`, drawn by the sentences' ids, chooses the best epoch. Its own test part is left alone.
"""

from __future__ import annotations

import csv
import re
import sys
import zlib
from pathlib import Path

FEW = 20
HEADER = ("clip", "subject", "split", "labels", "label_min", "label_max", "text")


def part(row: dict[str, str]) -> str:
    """The part of a sentence: train, validation, test, or "" for what is left alone."""
    if row["split"] == "train":
        return "validation" if zlib.crc32(row["id"].encode()) % 10 == 0 else "train"
    return "test" if row["split"] == "dev" else ""


def convert(table: Path, folder: Path) -> int:
    """Write `folder/manifest.csv` and its files; returns the number of clips."""
    clips: dict[tuple[str, str], list[dict[str, str]]] = {}
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if part(row) and row["text"].split():
                document = re.sub(r"(_\d+)+$", "", row["id"])
                clips.setdefault((document, part(row)), []).append(row)
    for document, split in [key for key, rows in clips.items() if len(rows) < FEW]:
        clips.setdefault(("short", split), []).extend(clips.pop((document, split)))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for (document, split), rows in sorted(clips.items()):
            name = f"{document}-{split}"
            sentences = "".join(" ".join(row["text"].split()) + "\n" for row in rows)
            (folder / f"{name}.txt").write_text(sentences, encoding="utf-8")
            labels = [f"{k},{row['V']},{row['A']},{row['D']}\n" for k, row in enumerate(rows)]
            text = "time_s,valence,arousal,dominance\n" + "".join(labels)
            (folder / f"{name}.labels.csv").write_text(text, encoding="utf-8")
            writer.writerow([name, document, split, f"{name}.labels.csv", 1, 5, f"{name}.txt"])
    return len(clips)


if __name__ == "__main__":
    sys.stdout.write(f"{convert(Path(sys.argv[1]), Path(sys.argv[2]))} clips\n")
