"""Encoders and damage of words, and how reader and encoder agree on a tokenizer."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fusekit.contracts import Source, reopened
from fusekit.errors import MissingExtraError, RecipeError
from fusekit_text import cases
from fusekit_text.damage import RecognizerErrors
from fusekit_text.hashed import HashedWordsEncoder
from fusekit_text.reader import TranscriptReader
from fusekit_text.tokens import HashedWords, TokenShape

SENTENCE = "all is well with my old friends and not bad !"


def some(n: int = 5, length: int = 12, seed: int = 0) -> torch.Tensor:
    windows = cases.windows(np.random.default_rng(seed), n)
    return torch.from_numpy(np.pad(windows, ((0, 0), (0, length - windows.shape[1]))))


@pytest.fixture(scope="module")
def folder() -> Path:
    pytest.importorskip("transformers")
    return cases.tiny_model()


def encoders(folder: Path | None = None) -> list[torch.nn.Module]:
    from fusekit_text.transformer import TransformerText

    torch.manual_seed(0)
    made: list[torch.nn.Module] = [HashedWordsEncoder((12,), dim=6, buckets=50)]
    if folder is not None:
        made += [TransformerText((12,), folder=folder, pooling=p) for p in ("mean", "cls")]  # type: ignore[arg-type]
    return [m.eval() for m in made]


def test_padding_changes_nothing_and_rows_never_mix(folder: Path) -> None:
    x = some()
    for encoder in encoders(folder):
        whole = encoder.encode(x)
        assert whole.shape == (5, *encoder.out_shape)
        torch.testing.assert_close(encoder.encode(some(length=40)), whole, rtol=1e-5, atol=1e-5)
        alone = torch.cat([encoder.encode(row[None]) for row in x])
        torch.testing.assert_close(alone, whole, rtol=1e-5, atol=1e-5)
        assert (whole[-1] == 0).all()  # no word at all
        assert (whole[:-1].abs().amax(1) > 0).all()


def test_word_order_matters_to_neighbours() -> None:
    (encoder,) = encoders()
    one = torch.tensor([[3.0, 4, 5, 0], [4, 3, 5, 0]])
    a, b = encoder.encode(one)
    assert (a - b).abs().max() > 1e-4


def test_hashed_words_learn_what_a_word_says() -> None:
    torch.manual_seed(0)
    encoder = HashedWordsEncoder((12,), dim=8, buckets=64)
    head = torch.nn.Linear(16, 1)
    x, optimizer = some(200), torch.optim.Adam([*encoder.parameters(), *head.parameters()], 1e-2)
    truth = ((x == 7).any(1) & ~(x == 9).any(1)).float()[:, None]
    for _ in range(150):
        loss = torch.nn.functional.mse_loss(head(encoder(x)), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    new = some(200, seed=1)
    truth = ((new == 7).any(1) & ~(new == 9).any(1)).float()
    seen = head(encoder.eval()(new)).squeeze(1)
    assert np.corrcoef(seen.detach(), truth)[0, 1] > 0.8
    for name, p in encoder.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().max() > 0, name


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"reads windows of numbers of words, \(L,\), not \(3, 8, 8\)"):
        HashedWordsEncoder((3, 8, 8))
    with pytest.raises(RecipeError, match="buckets must be at least 2"):
        HashedWordsEncoder((8,), buckets=1)


# ---------------------------------------------------------------- transformers


def test_a_transformer_sees_what_its_own_library_would_show_it(folder: Path, tmp_path: Path) -> None:
    """Parity: reader and encoder together equal tokenizer, model and pooling of transformers itself."""
    import transformers

    from fusekit_text.transformer import TransformerText

    path = tmp_path / "a.txt"
    path.write_text(f"{SENTENCE}\nis my friend well?\n", encoding="utf-8")
    reader = TranscriptReader(folder=folder, length=20)
    windows = reader.windows(reader.prepare(Source(path)), np.array([0.0, 1.0]))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    net = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    for pooling in ("mean", "cls"):
        encoder = TransformerText(reader.raw_shape, pooling=pooling).eval()  # type: ignore[arg-type]
        found = encoder.encode(torch.from_numpy(windows))
        for text, row in zip(path.read_text().splitlines(), found, strict=True):
            given = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
            states = net(**given).last_hidden_state[0]
            torch.testing.assert_close(
                row, states.mean(0) if pooling == "mean" else states[0], rtol=1e-5, atol=1e-6
            )


def test_reader_and_encoder_agree_or_say_so(folder: Path, tmp_path: Path) -> None:
    from fusekit_text.transformer import TransformerText

    shape = TranscriptReader(folder=folder).raw_shape
    assert shape == (64,)
    assert TransformerText(shape).trained
    TransformerText(shape, folder=folder)
    assert pickle.loads(pickle.dumps(shape)).folder == folder
    with pytest.raises(
        RecipeError, match=r"the reader hashes words, and the model knows its own alone: give the"
    ):
        TransformerText(TranscriptReader().raw_shape, folder=folder)
    with pytest.raises(RecipeError, match="no model is named: give the reader `folder`"):
        TransformerText((64,))
    other = tmp_path / "other"
    other.mkdir()
    (other / "tokenizer.json").write_text((folder / "tokenizer.json").read_text() + " ")
    with pytest.raises(RecipeError, match="has another tokenizer than the reader numbers words by"):
        TransformerText(shape, folder=other)
    with pytest.raises(RecipeError, match="holds no model that transformers can read"):
        TransformerText((64,), folder=other)
    with pytest.raises(RecipeError, match="windows of 72 tokens are longer than the 68"):
        TransformerText((70,), folder=folder)
    with pytest.raises(RecipeError, match="give `folder` or `model`, not both"):
        TransformerText((64,), folder=folder, model="all-MiniLM-L6-v2")
    # Shapes alone, as `fusekit check` asks for them, cost nothing; and a run opens from its weights alone.
    made = TransformerText(shape).eval()
    with torch.device("meta"):
        opened = TransformerText(shape).eval()
    assert opened.net.get_input_embeddings().weight.is_meta
    opened = reopened(lambda: TransformerText(shape), made.state_dict())
    x = some(length=64)
    assert torch.equal(opened.to("cpu").encode(x), made.encode(x))


def _spoilt(folder: Path, place: Path, **config: object) -> Path:
    """A copy of a model's folder, other things said in its config.json."""
    shutil.copytree(folder, place)
    said = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(said | config))
    return place


def test_a_folder_that_holds_something_else_is_refused(folder: Path, tmp_path: Path) -> None:
    import transformers
    from safetensors.torch import load_file, save_file

    from fusekit_text.transformer import TransformerText

    cut = _spoilt(folder, tmp_path / "cut")
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    odd = _spoilt(folder, tmp_path / "odd", hidden_size="wide")
    for place in (cut, odd):
        with pytest.raises(RecipeError, match="holds no model that transformers can read"):
            TransformerText((12,), folder=place)
    # What is missing would be drawn at random.
    part = _spoilt(folder, tmp_path / "part")
    kept = {n: t for n, t in load_file(part / "model.safetensors").items() if "layer.1" not in n}
    save_file(kept, part / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        RecipeError, match=r"are not all of its model's: 16 are missing, as encoder\.layer\.1"
    ):
        TransformerText((12,), folder=part)
    picture = _spoilt(folder, tmp_path / "picture")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    net = transformers.ViTModel(transformers.ViTConfig(**small, image_size=8, patch_size=4))
    net.save_pretrained(picture)
    with pytest.raises(RecipeError, match="a model of type vit is no transformer of text alone"):
        TransformerText((12,), folder=picture)


def test_a_pooler_or_a_decoder_that_is_not_saved_is_not_missed(folder: Path, tmp_path: Path) -> None:
    import transformers

    from fusekit_text.transformer import TransformerText

    TransformerText((12,), folder=folder)  # saved without its pooler
    place = _spoilt(folder, tmp_path / "t5")
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2, "vocab_size": 40}
    transformers.T5EncoderModel(transformers.T5Config(**sizes)).save_pretrained(place)
    assert TransformerText((12,), folder=place).encode(some()).shape == (5, 16)


def test_the_code_of_a_folder_is_neither_run_nor_asked_about(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fusekit_text.transformer import TransformerText

    place = _spoilt(folder, tmp_path / "own", model_type="own", auto_map={"AutoConfig": "own.Config"})
    (place / "own.py").write_text("raise SystemExit('run')")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asks whether to run the code"))
    with pytest.raises(RecipeError, match="holds no model that transformers can read"):
        TransformerText((12,), folder=place)


def test_a_model_that_is_not_here_is_not_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        RecipeError, match=r"model: 'nobody/nothing' is not in the hub's cache here: .*download: true"
    ):
        TranscriptReader(model="nobody/nothing")


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from fusekit_text.transformer import TransformerText

    for name in ("transformers", "tokenizers", "huggingface_hub"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "a.txt").write_text("word")
    wanted = r"pip install 'fusekit-text\[transformers\]'"
    with pytest.raises(MissingExtraError, match=wanted):
        TransformerText((8,), folder=tmp_path)
    with pytest.raises(MissingExtraError, match=wanted):
        TranscriptReader(model="x/y")
    with pytest.raises(MissingExtraError, match=wanted):
        TranscriptReader(folder=tmp_path).prepare(Source(tmp_path / "a.txt"))


def test_a_shape_that_says_whose_numbers_it_holds_is_a_tuple() -> None:
    shape = TokenShape.of(7, HashedWords())
    assert shape == (7,)
    assert hash(shape) == hash((7,))
    assert (*shape, 1) == (7, 1)


def test_a_shape_keeps_what_it_says_through_copies(folder: Path) -> None:
    shape = TranscriptReader(folder=folder, length=7).raw_shape
    assert shape.tokens.startswith("tokenizer ")
    reader = TranscriptReader(folder=folder, length=7)
    for other in (
        copy.copy(shape),
        copy.deepcopy(shape),
        pickle.loads(pickle.dumps(shape)),
        pickle.loads(pickle.dumps(reader)).raw_shape,
    ):
        assert type(other) is TokenShape
        assert (other, other.tokens, other.folder) == ((7,), shape.tokens, folder)


# ---------------------------------------------------------------- damage


def rngs(n: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, i]) for i in range(n)]


def test_damage_is_the_rows_own() -> None:
    x = some(40)
    kept = x.clone()
    damaged = RecognizerErrors(probability=1.0, rate=0.6)(x, rngs(40))
    assert torch.equal(x, kept)
    assert damaged.shape == x.shape
    assert damaged.dtype == x.dtype
    assert (damaged != x).any(1).sum() > 20
    for i in (0, 7, 39):
        assert torch.equal(
            RecognizerErrors(probability=1.0, rate=0.6)(x[i : i + 1], rngs(40)[i : i + 1])[0], damaged[i]
        )


def test_damaged_rows_hold_their_own_words_closed_up() -> None:
    x = some(200)
    for made, row in zip(RecognizerErrors(probability=1.0, rate=1.0)(x, rngs(200)), x, strict=True):
        count = int((made > 0).sum())
        assert (made[:count] > 0).all()
        assert set(made.tolist()) <= {*row.tolist(), 0.0}
        assert (count > 0) == bool((row > 0).any())


def test_half_of_the_rows_stay_as_they_are() -> None:
    x = torch.arange(1, 31.0).repeat(600, 1)
    left = (RecognizerErrors(rate=1.0)(x, rngs(600)) == x).all(1).float().mean()
    assert 0.45 < left < 0.58
    assert torch.equal(RecognizerErrors(probability=0.0)(x, rngs(600)), x)
    assert torch.equal(RecognizerErrors(rate=0.0)(x, rngs(600)), x)
    with pytest.raises(RecipeError, match="rate must be from 0 to 1, found 2"):
        RecognizerErrors(rate=2.0)
