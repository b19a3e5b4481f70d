"""A clip evaluated piece after piece is the clip evaluated at once; no more than a piece of it is held."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fusekit.contracts import Latent
from fusekit.data.store import Prepared
from fusekit.engine.evaluation import predict_clip, predict_pieces
from fusekit.engine.latent_cache import LatentCache, LiveLatents, cached_pieces
from fusekit.engine.latents import PIECE, clip_latents, latent_pieces, stored
from fusekit.study.baselines import fit_ridge, fit_ridge_in_pieces, score_pieces
from fusekit.study.feature_pieces import FeaturePieces


@pytest.fixture
def clip(tiny: SimpleNamespace) -> Any:
    (clip,) = tiny.clips((3 * PIECE + 7,))
    clip.present[5:40, 0] = False
    clip.present[100:180, 1] = False
    clip.present[150:160] = False
    return clip


@pytest.mark.parametrize("piece", [1, 5, PIECE, 10_000])
def test_latents_do_not_depend_on_the_piece(tiny: SimpleNamespace, clip: Any, piece: int) -> None:
    model, runtime = tiny.model(), tiny.runtime()
    whole = clip_latents(model, clip, runtime)
    parts = list(latent_pieces(model, clip, runtime, piece=piece))
    assert [len(p["face"].z) for p in parts][:-1] == [piece] * (len(parts) - 1)
    for m in model.names:
        assert torch.equal(torch.cat([p[m].z for p in parts]), whole[m].z)
        assert torch.equal(torch.cat([p[m].quadrant for p in parts]), whole[m].quadrant)


@pytest.mark.parametrize("steps", [1, 9, 40])
@pytest.mark.parametrize("causal", [True, False])
def test_predictions_across_the_borders_of_pieces(
    tiny: SimpleNamespace, clip: Any, steps: int, causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, runtime = tiny.model(), tiny.runtime()
    monkeypatch.setattr(type(model.temporal), "causal", causal)
    whole = stored(clip_latents(model, clip, runtime))
    for piece in (7, PIECE):
        pieces = map(stored, latent_pieces(model, clip, runtime, piece=piece))
        found = predict_pieces(model, pieces, clip.present, runtime, ("last", "carry"), steps)
        for way in ("last", "carry"):
            at_once = predict_clip(model, whole, clip.present, runtime, way, steps)  # type: ignore[arg-type]
            assert found[way].prediction.shape == (len(clip), 2)
            np.testing.assert_allclose(found[way].prediction, at_once.prediction, rtol=0, atol=1e-6)
            assert found[way].trace.keys() == at_once.trace.keys() != set()
            for name, values in at_once.trace.items():
                np.testing.assert_allclose(found[way].trace[name], values, rtol=0, atol=1e-6)


def test_pieces_from_where_latents_are_kept(tiny: SimpleNamespace, clip: Any) -> None:
    model, clips, runtime = tiny.model(), [*tiny.clips((9,)), clip], tiny.runtime()
    live, cache = LiveLatents(model, clips, runtime), LatentCache(model, clips, runtime)
    for kept in (cache, live):
        pieces = list(cached_pieces(kept, 1, "cpu"))
        assert max(len(p["face"].z) for p in pieces) == PIECE
        whole = cache.clip(1, "cpu")
        for m in model.names:
            torch.testing.assert_close(torch.cat([p[m].z for p in pieces]), whole[m].z, rtol=2e-3, atol=2e-3)


def test_no_more_than_a_piece_is_encoded_ahead(
    tiny: SimpleNamespace, clip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    plain = type(clip).inputs

    def watch(self: Any, modality: str, steps: np.ndarray) -> np.ndarray:
        read.append(len(steps))
        return plain(self, modality, steps)

    monkeypatch.setattr(type(clip), "inputs", watch)
    pieces: Iterator[dict[str, Latent]] = latent_pieces(tiny.model(), clip, tiny.runtime())
    for number in range(1, 4):
        next(pieces)
        assert sum(read) <= 2 * (number + 1) * PIECE
    assert max(read) <= PIECE


def test_ridge_of_pieces_is_ridge_of_all(tiny: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(3e3, 2, (400, 6)), rng.normal(size=(400, 2))
    y += x[:, :2] - 3e3
    x[rng.random((400, 6)) < 0.1] = np.nan
    x[:, 5] = np.nan
    y[rng.random((400, 2)) < 0.2] = np.nan
    val_x, val_y = x[300:], y[300:]
    whole = fit_ridge(x[:300], y[:300], val_x, val_y)

    def pieces(a: np.ndarray, b: np.ndarray, size: int) -> Any:
        return lambda: ((a[i : i + size], b[i : i + size]) for i in range(0, len(a), size))

    for size in (1, 37, 299):
        found = fit_ridge_in_pieces(pieces(x[:300], y[:300], size), pieces(val_x, val_y, size))
        for name in ("mean", "scale", "coefficients", "intercept", "penalty", "validation_ccc"):
            np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-8, atol=1e-8)
        ccc = score_pieces(found, pieces(val_x, val_y, size), ("a", "b"))["ccc"]
        assert [ccc["a"], ccc["b"]] == pytest.approx(whole.validation_ccc)


def test_features_come_again_as_they_were(
    tiny: SimpleNamespace, clip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fusekit.study import feature_pieces

    clips = [*tiny.clips((9,)), clip]
    once = FeaturePieces(clips, clip.readers)
    monkeypatch.setattr(feature_pieces, "_KEPT", 0)
    anew = FeaturePieces(clips, clip.readers)
    for _ in range(2):
        for (x, y), (other_x, other_y) in zip(once(), anew(), strict=True):
            np.testing.assert_array_equal(x, other_x)
            np.testing.assert_array_equal(y, other_y)
    assert len(np.concatenate([y for _, y in anew()])) == len(anew.labels()) == 9 + len(clip)


def test_mapped_pages_are_given_back_and_read_again(tmp_path: Any) -> None:
    import json
    import zlib

    array = np.arange(1 << 19, dtype=np.float64)
    np.save(tmp_path / "frames.npy", array)
    data = (tmp_path / "frames.npy").read_bytes()
    entry = {"arrays": {"frames": len(data)}, "checksums": {"frames": zlib.crc32(data)}}
    (tmp_path / "entry.json").write_text(json.dumps(entry))
    prepared = Prepared(tmp_path)
    assert prepared["frames"].sum() == array.sum()
    prepared.release()
    np.testing.assert_array_equal(prepared["frames"], array)
