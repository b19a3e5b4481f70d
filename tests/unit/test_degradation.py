"""Damage of pictures and spectrograms: shares, strengths, known answers, rows that stay apart."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusekit.data.degradation import PictureDegradation, SpectrogramDegradation, occlusion_grid
from fusekit.data.sampling import sample_rngs
from fusekit.errors import RecipeError

KINDS = [PictureDegradation, SpectrogramDegradation]


def pictures(n, size=64, channels=3, seed=0):
    smooth = torch.nn.functional.interpolate(
        torch.rand(n, channels, 8, 8, generator=torch.Generator().manual_seed(seed)),
        size=size,
        mode="bilinear",
    )
    return smooth * 2 - 1


def spectrograms(n, size=64):
    return pictures(n, size, 1).expand(-1, 3, -1, -1).contiguous()


def rngs(n, epoch=0):
    return sample_rngs(0, epoch, range(n), "damage")


@pytest.mark.parametrize("kind", KINDS)
def test_row_i_depends_on_its_own_content_and_generator_alone(kind):
    x = spectrograms(48)
    whole = kind()(x, rngs(48))
    order = np.random.default_rng(1).permutation(48)
    own = rngs(48)
    mixed = kind()(x[order], [own[i] for i in order])
    assert torch.allclose(mixed, whole[order], atol=1e-5)
    own = rngs(48)
    single = torch.cat([kind()(x[i : i + 1], [own[i]]) for i in range(48)])
    assert torch.allclose(single, whole, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_half_the_rows_stay_and_the_input_is_not_changed(kind):
    x = spectrograms(400, 16)
    before = x.clone()
    out = kind()(x, rngs(400))
    assert torch.equal(x, before)
    same = (out == x).flatten(1).all(1).float().mean()
    assert 0.42 < same < 0.58
    assert out.shape == x.shape
    assert out.dtype == x.dtype
    assert torch.equal(kind(probability=0.0)(x, rngs(400)), x)


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_and_strengths_are_equally_likely(kind, monkeypatch):
    seen = {}

    def count(self, x, name, strength, own):
        seen[name, strength] = seen.get((name, strength), 0) + len(x)
        return x

    monkeypatch.setattr(kind, "damage", count)
    kind()(torch.zeros(12000, 1, 2, 2), rngs(12000))
    shares = {name: sum(n for (k, _), n in seen.items() if k == name) / 6000 for name in kind.kinds}
    assert all(abs(share - 1 / len(kind.kinds)) < 0.02 for share in shares.values())
    for name, strengths in kind.kinds.items():
        for strength in strengths:
            assert abs(seen[name, strength] / 6000 - shares[name] / len(strengths)) < 0.015


@settings(max_examples=15, deadline=None)
@given(st.integers(16, 130), st.integers(16, 130), st.integers(0, 1000))
def test_any_size_stays_in_range(height, width, seed):
    x = torch.rand(12, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    for kind in KINDS:
        out = kind(probability=1.0)(x[:, :1].expand(-1, 3, -1, -1), rngs(12, seed))
        assert torch.isfinite(out).all()
        assert out.abs().max() <= 1 + 1e-5


def damage(x, name, strength, kind=PictureDegradation):
    return kind().damage(x, name, strength, rngs(len(x)))


@pytest.mark.parametrize("name", ["down-sample", "blur"])
def test_smoothing_keeps_flat_pictures_and_removes_detail_with_strength(name):
    flat = torch.full((1, 3, 64, 64), 0.3)
    checks = (torch.arange(64) % 2).float().expand(1, 3, 64, 64) * 2 - 1
    left = []
    for strength in PictureDegradation.kinds[name]:
        assert torch.allclose(damage(flat, name, strength), flat, atol=1e-5)
        left.append(float(damage(pictures(4), name, strength).std()))
    assert left[0] > left[1] > left[2]
    assert damage(checks, "down-sample", 1).abs().max() < 1e-5


def test_down_sampling_averages_blocks():
    ramp = torch.arange(16.0).expand(1, 1, 16, 16) / 8 - 1
    small = torch.nn.functional.avg_pool2d(ramp, 4)
    expected = torch.nn.functional.interpolate(small, size=16, mode="bilinear", align_corners=False)
    assert torch.allclose(damage(ramp, "down-sample", 2), expected, atol=1e-6)


def test_blur_is_a_gaussian_whose_width_scales_with_the_picture():
    for size in (64, 128):
        point = torch.zeros(1, 1, size, size)
        point[..., size // 2, size // 2] = 1
        blurred = damage(point, "blur", 5)[0, 0]
        offset = torch.arange(size) - size // 2
        variance = (blurred.sum(0) * offset**2).sum() / blurred.sum()
        assert float(variance) ** 0.5 == pytest.approx(5 * size / 128, rel=0.02)


@pytest.mark.parametrize("variance", PictureDegradation.kinds["noise"])
def test_noise_has_the_stated_variance_on_the_scale_0_to_1_and_does_not_wrap(variance):
    grey = torch.zeros(8, 3, 64, 64)
    assert float(((damage(grey, "noise", variance) - grey) / 2).var()) == pytest.approx(variance, rel=0.03)
    white = torch.ones(2, 3, 64, 64)
    assert float(damage(white, "noise", variance).min()) > 0
    assert float(damage(white, "noise", variance).max()) == 1


def test_brightness_scales_0_to_1_and_clips():
    x = torch.tensor([-1.0, 0.0, 1.0]).view(1, 1, 1, 3)
    assert damage(x, "brightness", 1.5).flatten().tolist() == pytest.approx([-1, 0.5, 1])
    assert damage(x, "brightness", 0.75).flatten().tolist() == pytest.approx([-1, -0.25, 0.5])


def test_grey_is_the_luma_in_every_channel():
    x = torch.tensor([1.0, -1, -1]).view(1, 3, 1, 1)
    out = damage(x, "grey", 1)
    assert out.flatten().tolist() == pytest.approx([2 * 0.299 - 1] * 3, abs=1e-6)


def test_the_grid_of_128_pixels_is_9_by_5_every_18_by_10():
    grid = occlusion_grid(128, 128)
    assert grid[:9, :5].all()
    assert not grid[9:18].any()
    assert not grid[:, 5:10].any()
    assert torch.equal(grid[18:36, 10:20], grid[:18, :10])
    x = pictures(1, 128)
    out = damage(x, "occlusion", 1)
    assert (out[..., grid] == 1).all()
    assert torch.equal(out[..., ~grid], x[..., ~grid])
    assert (damage(x, "occlusion", 1, SpectrogramDegradation)[..., grid] == -1).all()


def test_spectrograms_stay_three_copies_and_are_never_made_grey():
    out = SpectrogramDegradation(probability=1.0)(spectrograms(64), rngs(64))
    assert torch.equal(out[:, 0], out[:, 1])
    assert torch.equal(out[:, 0], out[:, 2])
    assert "grey" not in SpectrogramDegradation.kinds


def test_generators_depend_on_every_part_of_their_name():
    def first(*name):
        return sample_rngs(*name)[0].random(4).tolist()

    base = first(1, 2, [3], "a")
    assert first(1, 2, [3], "a") == base
    others = [first(0, 2, [3], "a"), first(1, 1, [3], "a"), first(1, 2, [4], "a"), first(1, 2, [3], "b")]
    assert all(other != base for other in others)
    assert sample_rngs(1, 2, [7, 3], "a")[1].random(4).tolist() == base


def test_generators_of_neighbouring_samples_are_uncorrelated():
    draws = np.stack([rng.standard_normal(2000) for rng in sample_rngs(0, 0, np.arange(20), "a")])
    off_diagonal = np.corrcoef(draws)[~np.eye(20, dtype=bool)]
    assert np.abs(off_diagonal).max() < 0.1


def test_the_generator_is_the_documented_philox():
    (rng,) = sample_rngs(3, 1, [9], "a")
    same = np.random.Generator(np.random.Philox(key=rng.bit_generator.state["state"]["key"]))
    assert rng.random(5).tolist() == same.random(5).tolist()


@pytest.mark.parametrize(
    ("name", "nominal", "harder"),
    [
        ("blur", 3, 12),
        ("noise", 0.005, 0.08),
        ("down-sample", 1, 3),
        ("brightness", 1.25, 1.25**4),
        ("grey", 1, 1),
    ],
)
def test_severity_multiplies_what_a_kind_does(monkeypatch, name, nominal, harder):
    """Amplitudes by 4: sigma, the noise's deviation (so its variance by 16), two halvings more."""
    monkeypatch.setattr(PictureDegradation, "kinds", {name: (nominal,)})
    x = pictures(3)
    severe = PictureDegradation(probability=1.0, severity=(4.0,))
    own = rngs(3)
    for rng in own:
        rng.random(4)  # what the draw of kind, strength and severity takes
    expected = PictureDegradation().damage(x, name, harder, own)
    assert torch.allclose(severe(x, rngs(3)), expected)


def test_every_severity_is_drawn_and_none_below_one_is_taken(monkeypatch):
    monkeypatch.setattr(PictureDegradation, "kinds", {"blur": (1,)})
    seen = []
    monkeypatch.setattr(
        PictureDegradation, "damage", lambda self, x, kind, strength, own: seen.append(strength) or x
    )
    PictureDegradation(probability=1.0, severity=(1, 2, 4))(pictures(64), rngs(64))
    assert sorted(seen) == [1, 2, 4]
    with pytest.raises(RecipeError, match="severity lists multiples of 1 or more"):
        PictureDegradation(severity=(0.5,))
    with pytest.raises(RecipeError, match="severity"):
        PictureDegradation(severity=())


@pytest.mark.parametrize("kind", KINDS)
def test_it_tells_what_it_does_to_each_row(kind):
    done = {}

    class Watched(kind):
        def damage(self, x, name, strength, generators):
            done.update(dict.fromkeys(map(id, generators), name))
            return super().damage(x, name, strength, generators)

    own = rngs(60)
    Watched()(spectrograms(60, 16), own)
    assert kind().drawn(rngs(60)) == [done.get(id(rng), "") for rng in own]
    assert set(kind().drawn(rngs(200))) == {"", *kind.kinds}
