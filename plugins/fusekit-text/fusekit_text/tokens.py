"""Words as numbers: hashed, or by the tokenizer of a model's folder. 0 is padding."""

from __future__ import annotations

import hashlib
import re
import unicodedata
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fusekit.errors import MissingExtraError, RecipeError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LARGEST = 2**24 - 1
"""What a float32 window holds exactly."""
HASHED = "hashed words"
_PIECE = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[!?]")
_EXTRA = "pip install 'fusekit-text[transformers]'"


class Tokens(Protocol):
    """A way of numbering words.

    Attributes:
        name: equal where the numbers mean the same. folder: where the tokenizer lies, if it has one.
    """

    name: str
    folder: Path | None

    def numbers(self, word: str, *, first: bool) -> list[int]:
        """A word without white space -> its numbers, each 1..2^24 - 1. first: nothing stands before it."""


class TokenShape(tuple[int, ...]):
    """`(L,)`, the shape of a window of words, that also tells whose numbers it holds.

    So the encoder that is built for it finds the reader's tokenizer, and a recipe names it once; one that is
    built for other numbers refuses. Equal to the plain tuple in every other respect.
    """

    tokens: str = ""
    folder: Path | None = None

    @classmethod
    def of(cls, length: int, tokens: Tokens) -> TokenShape:
        """The shape of `length` numbers of these tokens."""
        made = cls((length,))
        made.tokens, made.folder = tokens.name, tokens.folder
        return made


class HashedWords:
    """Lower-case words, and `!` and `?`, numbered by their CRC-32: no vocabulary, the same in every corpus.

    Of two different words one in 17 million pairs shares a number.
    """

    name = HASHED
    folder: Path | None = None

    def numbers(self, word: str, *, first: bool) -> list[int]:
        plain = unicodedata.normalize("NFKC", word).lower().replace("’", "'")
        return [1 + zlib.crc32(piece.encode()) % LARGEST for piece in _PIECE.findall(plain)]


class FolderTokens:
    """The tokenizer of a model's folder (`tokenizer.json`), word by word: number = its id + 1.

    Args:
        folder: as `save_pretrained` leaves it.

    Raises:
        RecipeError: the folder has no such tokenizer.
    """

    def __init__(self, folder: Path) -> None:
        self.folder: Path | None = folder
        self.file = folder / "tokenizer.json"
        self.name = fingerprint(folder)
        self._loaded: Tokenizer | None = None
        self._known: dict[str, list[int]] = {}

    def numbers(self, word: str, *, first: bool) -> list[int]:
        # With the space before it, as it stands in the sentence: tokenizers of byte pairs tell the two apart.
        text = word if first else f" {word}"
        if text not in self._known:
            if self._loaded is None:
                self._loaded = load_tokenizer(self.file)
            encoded = self._loaded.encode(text, add_special_tokens=False)
            self._known[text] = [number + 1 for number in encoded.ids]
        return self._known[text]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_loaded": None, "_known": {}}


def load_tokenizer(file: Path) -> Tokenizer:
    """A tokenizer that neither cuts nor pads.

    Raises:
        MissingExtraError: tokenizers is not installed; RecipeError: it cannot read the file.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtraError(f"the tokenizer of '{file.parent}' needs tokenizers: {_EXTRA}") from error
    try:
        loaded = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception
        raise RecipeError(f"folder: '{file}' is no tokenizer that tokenizers can read: {error}") from error
    loaded.no_truncation()
    loaded.no_padding()
    return loaded


def fingerprint(folder: Path) -> str:
    """The name of a folder's tokenizer: a digest of what it says, wherever it lies.

    Raises:
        RecipeError: the folder, or `tokenizer.json` in it, is not there.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        what = "has no tokenizer.json; save one there by `tokenizer.save_pretrained(FOLDER)`"
        raise RecipeError(f"folder: '{folder}' {what if folder.is_dir() else 'is no folder'}.")
    return f"tokenizer {hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"


def folder_of(folder: Path | None, model: str | None, download: bool) -> Path | None:
    """The folder that a component's arguments name: itself, or where the hub's cache has a model.

    Raises:
        RecipeError: both are given, or the model is neither in the cache nor may be fetched;
            MissingExtraError: huggingface_hub is not installed.
    """
    if model is None:
        return folder
    if folder is not None:
        raise RecipeError(
            "give `folder` or `model`, not both: a folder on this machine, or a name on the hub"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingExtraError(f"model {model} needs transformers: {_EXTRA}") from error
    try:
        return Path(
            snapshot_download(
                model, allow_patterns=["*.json", "*.safetensors", "*.txt"], local_files_only=not download
            )
        )
    except (
        OSError,
        ValueError,
    ) as error:  # what the hub raises is an OSError, a name that cannot be a ValueError
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        hint = (
            "" if download else " Write `download: true` to fetch it, or `folder: FOLDER` for a local copy."
        )
        raise RecipeError(f"model: '{model}' is not in the hub's cache here: {reason}.{hint}") from error
