from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fusekit.batch import to_float
from fusekit.contracts import Latent
from fusekit.engine.latent_cache import LatentCache, LiveLatents
from fusekit.engine.latents import clip_latents, fits_half, rounded, stored
from fusekit.errors import RunError


def test_cached_latents_are_the_live_ones_rounded_to_half(tiny: SimpleNamespace) -> None:
    model, clips, runtime = tiny.model(), tiny.clips(), tiny.runtime()
    cache = LatentCache(model, clips, runtime)
    assert cache.offsets.tolist() == [0, 11, 20]
    for number, clip in enumerate(clips):
        live = stored(clip_latents(model, clip, runtime))
        kept = cache.clip(number, "cpu")
        batch = tiny.batch(1, len(clip))
        raw = {m: torch.from_numpy(clip.inputs(m, np.arange(len(clip))))[None] for m in model.names}
        direct = model.latents(raw, batch.present)
        for m in model.names:
            assert kept[m].z.dtype == torch.float32
            assert torch.equal(kept[m].z, live[m].z)
            assert torch.equal(kept[m].quadrant, live[m].quadrant)
            assert torch.equal(kept[m].quadrant, direct[m].quadrant)
            torch.testing.assert_close(kept[m].z, direct[m].z, rtol=1e-3, atol=1e-3)


def test_rows_may_be_taken_in_any_order_and_twice(tiny: SimpleNamespace) -> None:
    cache = LatentCache(tiny.model(), tiny.clips(), tiny.runtime())
    whole = {m: torch.cat([cache.clip(i, "cpu")[m].z for i in range(3)]) for m in tiny.names}
    rows = np.array([33, 0, 12, 12, 20])
    taken = cache.take(rows, "cpu")
    for m in tiny.names:
        assert torch.equal(taken[m].z, whole[m][rows])


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_the_chunk_size_changes_nothing(tiny: SimpleNamespace, chunk: int) -> None:
    model, clip, runtime = tiny.model(), tiny.clips((11,))[0], tiny.runtime()
    for m, latent in clip_latents(model, clip, runtime, chunk=chunk).items():
        torch.testing.assert_close(latent.z, clip_latents(model, clip, runtime)[m].z)


def test_absent_steps_are_zero_and_their_content_is_never_read(
    tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tiny.clips((9,))[0]
    clip.present[3:6, 0] = False
    clip.present[:, 1] = False
    read: dict[str, list[int]] = {m: [] for m in tiny.names}
    original = type(clip).inputs

    def watch(self: Any, modality: str, steps: np.ndarray) -> np.ndarray:
        read[modality] += steps.tolist()
        return original(self, modality, steps)

    monkeypatch.setattr(type(clip), "inputs", watch)
    found = clip_latents(tiny.model(), clip, tiny.runtime())
    assert read == {"face": [0, 1, 2, 6, 7, 8], "voice": []}
    assert not found["face"].z[3:6].any()
    assert found["face"].z[[2, 6]].any()
    assert not found["voice"].z.any()
    assert found["voice"].z.shape == found["face"].z.shape


def test_nothing_learns_while_latents_are_made(tiny: SimpleNamespace) -> None:
    model, seen = tiny.model().train(), []
    cache = LatentCache(
        model, tiny.clips(), tiny.runtime(), progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(11, 34), (20, 34), (34, 34)]
    assert not model.training
    assert not any(z.requires_grad for z in cache.z.values())
    assert all(p.grad is None for p in model.parameters())


def test_without_conditioning_the_discriminator_does_not_run(tiny: SimpleNamespace) -> None:
    model = tiny.model(conditioning="none")
    for branch in model.branches.values():
        branch.quadrant.body = None
        branch.encoder.decoder = None
    cache = LatentCache(model, tiny.clips((5,)), tiny.runtime())
    assert not cache.quadrant["face"].any()
    prediction, _ = model.predict_last(cache.clip(0, "cpu"), torch.ones(5, 2, dtype=torch.bool), 4)
    assert torch.isfinite(prediction).all()


def test_predictions_from_cached_and_live_latents_agree(tiny: SimpleNamespace) -> None:
    model, clip, runtime = tiny.model(), tiny.clips((12,))[0], tiny.runtime()
    present = torch.from_numpy(clip.present)
    live, _ = model.predict_last(clip_latents(model, clip, runtime), present, 8)
    kept, _ = model.predict_last(LatentCache(model, [clip], runtime).clip(0, "cpu"), present, 8)
    torch.testing.assert_close(kept, live, rtol=0, atol=2e-3)


def test_bf16_latents_are_finite(tiny: SimpleNamespace) -> None:
    model, clip = tiny.model(), tiny.clips((6,))[0]
    exact = clip_latents(model, clip, tiny.runtime())
    rough = clip_latents(model, clip, tiny.runtime("bf16"))
    for m in tiny.names:
        assert rough[m].z.dtype == torch.float32
        assert (rough[m].z - exact[m].z).abs().mean() < 0.05


def louder(model: Any, modality: str, factor: float) -> Any:
    """The same model, an encoder's latents multiplied."""
    encoder = model.branches[modality].encoder
    plain = encoder.encode
    encoder.encode = lambda x: plain(x) * factor
    return model


@pytest.mark.parametrize("factor", [1e8, 1e-8])
def test_latents_beyond_float16_are_kept_as_they_are(tiny: SimpleNamespace, factor: float) -> None:
    model, clips, runtime = louder(tiny.model(), "face", factor), tiny.clips(), tiny.runtime()
    exact = [clip_latents(model, clip, runtime)["face"].z for clip in clips]
    top = torch.cat(exact).abs().flatten(1).amax(1)
    assert ((top > 65504) | (top < 6.1e-5)).all()  # float16 would hold infinity, or next to nothing
    cache, live = LatentCache(model, clips, runtime), LiveLatents(model, clips, runtime)
    assert (cache.z["face"].dtype, cache.z["voice"].dtype) == (torch.float32, torch.float16)
    for number, z in enumerate(exact):
        assert torch.equal(cache.clip(number, "cpu")["face"].z, z)
        assert torch.equal(live.clip(number, "cpu")["face"].z, z)
        assert torch.equal(stored({"face": Latent(z=z)})["face"].z, z)


def test_one_loud_step_leaves_the_rounding_of_all_others_as_it_was(tiny: SimpleNamespace) -> None:
    """What is read live, step by step, must be what the cache holds, whatever else the cache had to take."""
    model, clips, runtime = tiny.model(), tiny.clips(), tiny.runtime()
    before = torch.cat([LatentCache(model, clips, runtime).clip(i, "cpu")["face"].z for i in range(3)])
    encoder = model.branches["face"].encoder
    plain, window = encoder.encode, torch.from_numpy(clips[1].inputs("face", np.array([4])))

    def encode(x: torch.Tensor) -> torch.Tensor:
        loud = (x == to_float(window)).flatten(1).all(1).view(-1, 1, 1, 1)
        return torch.where(loud, plain(x) * 1e9, plain(x))

    encoder.encode = encode
    cache = LatentCache(model, clips, runtime)
    after = torch.cat([cache.clip(i, "cpu")["face"].z for i in range(3)])
    loud = int(cache.offsets[1]) + 4
    others = torch.arange(len(after)) != loud
    assert torch.equal(after[others], before[others])
    assert torch.isfinite(after).all()
    assert after[loud].abs().max() > 65504


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", [LatentCache, LiveLatents])
def test_latents_that_are_no_numbers_name_modality_clip_and_second(
    tiny: SimpleNamespace, value: float, place: type
) -> None:
    model, clips, runtime = tiny.model(), tiny.clips(), tiny.runtime()
    encoder = model.branches["voice"].encoder
    plain, window = encoder.encode, torch.from_numpy(clips[2].inputs("voice", np.array([3])))
    encoder.encode = lambda x: plain(x).where(
        (x != to_float(window)).flatten(1).any(1).view(-1, 1, 1, 1), torch.tensor(value)
    )
    at = clips[2].times[3]
    said = f"voice gives NaN.* 1 of .* clip '{clips[2].name}', first at {at:.2f} s"
    with pytest.raises(RunError, match=said):
        place(model, clips, runtime).clip(2, "cpu")


def test_half_fits_by_the_largest_magnitude_of_a_row() -> None:
    tops = torch.tensor([0.0, 65504, 65505, -65505, 6.104e-5, 6.0e-5, 1e-30])
    rows = torch.stack([tops, torch.zeros(7)], dim=1)
    assert fits_half(rows).tolist() == [True, True, False, False, True, False, False]
    assert rounded(torch.tensor([[1.0001, 1e-9]])).tolist() == [[1.0, 0.0]]
