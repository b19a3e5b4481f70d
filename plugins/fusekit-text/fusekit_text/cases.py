"""What the conformance kit must know of this package's components: small files and windows of words."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from fusekit.contracts import Source
from fusekit.registry import Kind
from fusekit.testing import Case

LENGTH = 12
WORDS = ("all", "is", "well", "with", "my", "old", "friend", "and", "not", "bad", "at", "last")
_LINES = [" ".join(WORDS[i : i + 4]) for i in (0, 4, 8, 2, 6)]  # none begins as another ends


def cases() -> list[Case]:
    """A case of each component; `transformer-text` with a tiny model of random weights, or excused where
    transformers is not installed."""
    words: dict[str, Any] = {"raw_shape": (LENGTH,), "windows": windows, "constants": (0.0, 1.0)}
    said: dict[str, Any] = {"file": subtitles, "blank": silence, "altered": other}
    found = [
        Case("reader", "transcript", {"window_s": 3.0}, **said),
        Case("reader", "transcript", {"sentence": True, "lookahead_s": 0.5}, "ahead", **said),
        Case("reader", "transcript", {}, "sentences", file=sentences),
        Case("encoder", "hashed-words", {"dim": 6, "buckets": 50}, exports=True, **words),
        Case("degradation", "recognizer-errors", {}, **words),
        Case("degradation", "recognizer-errors", {"probability": 1.0, "rate": 1.0}, "loud", **words),
    ]
    if find_spec("transformers") is None:
        from fusekit.testing.kit import CHECKS

        why = "it cannot be made: pip install 'fusekit-text[transformers]'"
        excused = {rule.name: why for rule in CHECKS[Kind.ENCODER].rules}
        return [*found, Case("encoder", "transformer-text", excused=excused, **words)]
    # A bias of the keys adds the same to all scores of a softmax; published models have it none the less.
    words |= {"unused": ("*.key.bias",)}
    folder = str(tiny_model())
    return found + [
        Case("encoder", "transformer-text", {"folder": folder, "pooling": pooling}, pooling, **words)
        for pooling in ("mean", "cls")
    ]


def windows(rng: np.random.Generator, n: int) -> np.ndarray:
    """`(n, LENGTH)` float32: rows of 1 to LENGTH numbers up to 20, the last row without any."""
    found = rng.integers(1, 21, (n, LENGTH)).astype(np.float32)
    found[np.arange(LENGTH) >= rng.integers(1, LENGTH + 1, (n, 1))] = 0
    found[-1] = 0
    return found


def subtitles(folder: Path) -> Source:
    """Five cues of two seconds, one after another."""
    return _cues(folder, _LINES)


def other(folder: Path, second: float) -> Source:
    """Other words in every cue that begins at `second` or later."""
    return _cues(folder, [line if 2 * i < second else "quite other" for i, line in enumerate(_LINES)])


def silence(folder: Path) -> Source:
    """A TextGrid of ten seconds in which nothing is said."""
    path = folder / "silence.textgrid"
    path.write_text(
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n10\n<exists>\n1\n'
        '"IntervalTier"\n"words"\n0\n10\n1\n0\n10\n""\n',
        encoding="utf-8",
    )
    return Source(path)


def sentences(folder: Path) -> Source:
    """Three sentences, the second of which is missing."""
    path = folder / "sentences.txt"
    path.write_text("All is well!\n\nNot bad, my friend.\n", encoding="utf-8")
    return Source(path)


def _cues(folder: Path, texts: list[str]) -> Source:
    path = folder / "said.srt"
    blocks = [
        f"{i + 1}\n00:00:{2 * i:02},000 --> 00:00:{2 * i + 2:02},000\n{t}\n" for i, t in enumerate(texts)
    ]
    path.write_text("\n".join(blocks), encoding="utf-8")
    return Source(path)


@lru_cache(maxsize=1)
def tiny_model() -> Path:
    """A folder with a BERT of 16 dimensions, random weights and a vocabulary of a few words."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    folder = Path(tempfile.mkdtemp(prefix="fusekit-text-"))
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, "!", "?", "##s", "##ed"]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(known)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    config = transformers.BertConfig(
        vocab_size=len(known) + 4,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=70,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder
