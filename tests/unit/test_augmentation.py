"""Augmentation of faces: choices, geometry, black outside, and none for sound."""

import numpy as np
import pytest
import torch

from fusekit.data.augmentation import FaceAugmentation, augmentation_for
from fusekit.data.degradation import occlusion_grid
from fusekit.data.sampling import sample_rngs


class Script(np.random.Generator):
    """Answers `random(7)` with given numbers: choice, angle, crop, area, aspect, x, y."""

    def __new__(cls, *_):
        return super().__new__(cls, np.random.PCG64(0))

    def __init__(self, *values):
        super().__init__(np.random.PCG64(0))
        self.values = np.array(values, float)

    def random(self, size):
        assert size == len(self.values)
        return self.values


NONE, FLIP, TURN, GRID = 0.0, 0.4, 0.9, 0.99
NO_CROP = (0.9, 0, 0, 0, 0)


def picture(n=1, height=32, width=32):
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_nothing_and_flip_are_exact():
    x = picture()
    assert torch.equal(FaceAugmentation()(x, [Script(NONE, 0.1, *NO_CROP)]), x)
    assert torch.equal(FaceAugmentation()(x, [Script(FLIP, 0.1, *NO_CROP)]), x.flip(-1))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40)])
def test_rotation_turns_about_the_centre_without_shear_and_uncovers_black(height, width):
    x = torch.full((1, 3, height, width), 0.5)
    x[..., height // 2 - 1 : height // 2 + 1, :] = 1.0  # a horizontal bar through the centre
    out = FaceAugmentation()(x, [Script(TURN, 1.0 - 1e-9, *NO_CROP)])  # 45 degrees
    assert out[0, 0, height // 2, width // 2] == pytest.approx(1, abs=0.15)
    rows, columns = torch.nonzero(out[0, 0] > 0.8, as_tuple=True)
    slope = np.polyfit(columns.numpy(), rows.numpy(), 1)[0]
    assert abs(slope) == pytest.approx(1, abs=0.15)
    assert float(out.min()) == pytest.approx(-1, abs=1e-4)


def test_zero_rotation_changes_nothing():
    x = picture()
    assert torch.allclose(FaceAugmentation()(x, [Script(TURN, 0.5, *NO_CROP)]), x, atol=1e-5)


def test_crop_is_the_part_it_says():
    x = picture(1, 32, 32)
    # Area 1/2 at aspect 1, at the lower right: side 0.707 of the picture.
    out = FaceAugmentation()(x, [Script(NONE, 0, 0.1, 0.0, 0.5, 1.0, 1.0)])
    side = 32 * 0.5**0.5
    centre = 32 - side / 2 - 0.5
    at = int(np.floor(centre))
    assert out[0, :, 16, 16].tolist() != x[0, :, 16, 16].tolist()
    around = x[0, 0, at - 1 : at + 3, at - 1 : at + 3]
    assert around.min() - 1e-5 <= out[0, 0, 15:17, 15:17].mean() <= around.max() + 1e-5
    ramp = (torch.arange(32.0) / 16 - 1).expand(1, 3, 32, 32)
    columns = FaceAugmentation()(ramp, [Script(NONE, 0, 0.1, 0.0, 0.5, 1.0, 1.0)])[0, 0, 16]
    assert float(columns[20] - columns[10]) == pytest.approx(
        float(ramp[0, 0, 0, 20] - ramp[0, 0, 0, 10]) * 0.5**0.5, abs=1e-4
    )
    full = FaceAugmentation()(x, [Script(NONE, 0, 0.1, 1.0, 0.5, 0.3, 0.6)])
    assert torch.allclose(full, x, atol=1e-5)


def test_crops_cover_at_least_half_of_the_area_and_stay_inside():
    ramp = torch.stack(torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij"))
    x = ramp[None].expand(300, -1, -1, -1)
    draws = [Script(NONE, 0, 0.1, *np.random.default_rng(i).random(4)) for i in range(300)]
    out = FaceAugmentation()(x, draws)
    height = (out[:, 0, -1, 0] - out[:, 0, 0, 0]) / 2
    width = (out[:, 1, 0, -1] - out[:, 1, 0, 0]) / 2
    assert float((height * width).min()) > 0.48
    assert float((width / height).max()) < 1.55
    assert float((width / height).min()) > 0.45
    assert out.abs().max() <= 1 + 1e-5


def test_shares_of_choices():
    x = picture(1, 8, 8).expand(3000, -1, -1, -1)
    out = FaceAugmentation()(x, sample_rngs(0, 0, range(3000), "a"))
    unchanged = (out == x).flatten(1).all(1).float().mean()
    flipped = (out == x.flip(-1)).flatten(1).all(1).float().mean()
    assert unchanged == pytest.approx(1 / 6, abs=0.025)
    assert flipped == pytest.approx(1 / 6, abs=0.025)


def test_the_grid_is_a_fourth_choice_without_degradation():
    x = picture()
    out = FaceAugmentation(occlusion=True)(x, [Script(GRID, 0.1, *NO_CROP)])
    grid = occlusion_grid(32, 32)
    assert (out[..., grid] == 1).all()
    assert torch.equal(out[..., ~grid], x[..., ~grid])


def test_row_i_depends_on_its_own_content_and_generator_alone():
    x = picture(40)
    before = x.clone()
    whole = FaceAugmentation()(x, sample_rngs(0, 0, range(40), "a"))
    order = np.random.default_rng(1).permutation(40)
    own = sample_rngs(0, 0, range(40), "a")
    assert torch.allclose(FaceAugmentation()(x[order], [own[i] for i in order]), whole[order], atol=1e-5)
    assert torch.equal(x, before)


def test_spectrograms_are_not_augmented():
    assert augmentation_for("audio") is None
    assert isinstance(augmentation_for("video"), FaceAugmentation)
    assert augmentation_for("video", occlusion=True).occlusion
