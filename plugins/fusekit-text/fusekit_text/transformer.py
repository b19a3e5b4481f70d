"""Any transformer of sentences as an encoder, from a folder on this machine or by its name on a hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fusekit.contracts import Encoder, weights_follow
from fusekit.errors import MissingExtraError, RecipeError
from fusekit_text.tokens import HASHED, fingerprint, folder_of, load_tokenizer


class TransformerText(Encoder):
    """`(N, L)` numbers of words, 0 = padding -> `(N, D)`: the last hidden states' mean, or the first one's.

    The numbers must be those of the model's own tokenizer: name its folder (or name) in the reader
    `transcript`, and the encoder takes the model from there. The tokens that the model wants before and
    behind a sentence are put there. A window without words gives zeros. Frozen where a stage freezes the
    encoder, fine-tuned where none does.

    Args:
        raw_shape: `(L,)`.
        folder: of the model, `config.json`, `tokenizer.json` and weights in safetensors; None: the reader's.
        model: a name on the Hugging Face hub, instead.
        download: fetch it from there when the hub's cache on this machine has it not.
        pooling: `mean` of the states of all tokens (as MiniLM and most models of sentences want), or `cls`,
            the first token's.

    Raises:
        RecipeError: no model can be found or read, or the reader numbers words by another tokenizer;
            MissingExtraError: of the extra `transformers`.
    """

    trained = True
    before: Tensor
    behind: Tensor

    def __init__(
        self,
        raw_shape: tuple[int, ...],
        *,
        folder: Path | None = None,
        model: str | None = None,
        download: bool = False,
        pooling: Literal["mean", "cls"] = "mean",
    ) -> None:
        super().__init__()
        if len(raw_shape) != 1:
            raise RecipeError(
                f"encoder transformer-text reads windows of numbers of words, (L,), not {tuple(raw_shape)}; "
                "the reader `transcript` makes such"
            )
        found = folder_of(folder, model, download) or getattr(raw_shape, "folder", None)
        _agree(found, str(getattr(raw_shape, "tokens", "")))
        assert found is not None  # else they disagree
        try:
            import transformers
        except ImportError as error:
            raise MissingExtraError(
                "encoder transformer-text needs transformers: pip install 'fusekit-text[transformers]'"
            ) from error
        with _quiet(transformers):
            self.net = _load(transformers, found)
        self.pooling = pooling
        tokenizer = load_tokenizer(found / "tokenizer.json")
        ids, behind = _specials(tokenizer)
        self.register_buffer("before", torch.tensor(ids, dtype=torch.int64))
        self.register_buffer("behind", torch.tensor(behind, dtype=torch.int64))
        self._fits(tokenizer.get_vocab_size(), raw_shape[0] + len(ids) + len(behind))
        config: Any = self.net.config
        self.out_shape = (int(config.hidden_size),)

    def _fits(self, numbers: int, length: int) -> None:
        config: Any = self.net.config
        if not (hasattr(config, "vocab_size") and hasattr(config, "hidden_size")):
            raise RecipeError(
                f"folder: a model of type {config.model_type} is no transformer of text alone; save its text "
                "model in a folder of its own"
            )
        if numbers > config.vocab_size:
            raise RecipeError(
                f"folder: its tokenizer knows {numbers} tokens, its model {config.vocab_size}: they do not "
                "belong together"
            )
        # Two fewer: some count their positions from behind the number of padding.
        most = getattr(config, "max_position_embeddings", None)
        if most is not None and length > most - 2:
            raise RecipeError(
                f"encoder transformer-text: windows of {length} tokens are longer than the {most - 2} that "
                "the model takes; give the reader a smaller `length`"
            )

    def encode(self, x: Tensor) -> Tensor:
        """`(N, L)` float or integer numbers -> `(N, D)`."""
        numbers = x.long()
        count = (numbers > 0).sum(dim=1, keepdim=True)
        ids = self._sentence(numbers, count)
        size = (count + len(self.before) + len(self.behind)).clamp(min=1)  # one, for attention to look at
        mask = torch.arange(ids.shape[1], device=x.device) < size
        states = self.net(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        if self.pooling == "cls":
            pooled = states[:, 0]
        else:
            pooled = states.masked_fill(~mask[..., None], 0).sum(dim=1) / size
        return pooled.masked_fill(count == 0, 0)

    def _sentence(self, numbers: Tensor, count: Tensor) -> Tensor:
        """`(N, L)` numbers, 0 behind them -> `(N, L + specials)` ids with the model's own tokens around."""
        n, first = len(numbers), len(self.before)
        ids = (numbers - 1).clamp(min=0)
        ids = torch.cat([self.before.expand(n, -1), ids, ids.new_zeros(n, len(self.behind))], dim=1)
        for k, special in enumerate(self.behind):
            ids = ids.scatter(1, first + count + k, special.expand(n, 1))
        return ids


def _agree(found: Path | None, tokens: str) -> None:
    """The reader's numbers must be those of the model's tokenizer."""
    how = "give the reader `folder` (or `model`) of the model, and the encoder takes it from there"
    if tokens == HASHED:
        raise RecipeError(
            f"encoder transformer-text: the reader hashes words, and the model knows its own alone: {how}."
        )
    if found is None:
        raise RecipeError(f"encoder transformer-text: no model is named: {how}.")
    if tokens and tokens != fingerprint(found):
        raise RecipeError(
            f"folder: '{found}' has another tokenizer than the reader numbers words by: {how}, or name one "
            "folder in both."
        )


def _load(transformers: Any, folder: Path) -> nn.Module:
    own: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}  # True would run its code
    lacking: Any = ()
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **own)
        if weights_follow():
            net = transformers.AutoModel.from_config(config, trust_remote_code=False)
        else:
            net, told = transformers.AutoModel.from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                **own,
            )
            lacking = told["missing_keys"]
    except Exception as error:  # each kind of file has exceptions of its own, bare ones too
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
        raise RecipeError(
            f"folder: '{folder}' holds no model that transformers can read (config.json, weights in "
            f"safetensors): {reason}."
        ) from error
    # Weights that the file has not, transformers draws at random.
    drawn = {id(p): name for name, p in net.named_parameters() if name in lacking}
    # Of two halves the first; T5's, saved alone, no longer says that it is one.
    if config.is_encoder_decoder or (hasattr(net, "encoder") and hasattr(net, "decoder")):
        net = net.get_encoder()
    if getattr(net, "pooler", None) is not None:
        net.pooler = None  # it reads the first token for another task: unused here, it would never learn
    gone = [drawn[id(p)] for p in net.parameters() if id(p) in drawn]
    if gone:
        raise RecipeError(
            f"folder: the weights in '{folder}' are not all of its model's: {len(gone)} are missing, as "
            f"{gone[0]}."
        )
    # Positions and the like, which transformers makes anew with each model: a run is opened from its weights
    # alone, so they belong to these.
    for module in net.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            module.register_buffer(name, buffer)
    made: nn.Module = net.eval()
    return made


def _specials(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Ids that the tokenizer puts before and behind a sentence."""
    encoded = tokenizer.encode("a", add_special_tokens=True)
    own = [i for i, special in enumerate(encoded.special_tokens_mask) if not special]
    first, last = (own[0], own[-1]) if own else (len(encoded.ids), len(encoded.ids))
    return encoded.ids[:first], encoded.ids[last + 1 :]


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """No bars and no advice while a model is read."""
    logging = transformers.utils.logging
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
