"""Every component that fusekit registers loads, keeps its kind's contract, and has a case here."""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fusekit import contracts, plugins
from fusekit.contracts import (
    Corpus,
    Degradation,
    DenoisingEncoder,
    Detector,
    Encoder,
    Fusion,
    Latent,
    Loss,
    Projector,
    QuadrantHead,
    Reader,
    Source,
    Temporal,
)
from fusekit.errors import DataError, FusekitError
from fusekit.recipe.arguments import parameters
from fusekit.registry import Entry, Kind, Registry

BASES: dict[Kind, type] = {
    Kind.CORPUS: Corpus,
    Kind.READER: Reader,
    Kind.DETECTOR: Detector,
    Kind.DEGRADATION: Degradation,
    Kind.ENCODER: Encoder,
    Kind.QUADRANT: QuadrantHead,
    Kind.PROJECTOR: Projector,
    Kind.FUSION: Fusion,
    Kind.TEMPORAL: Temporal,
    Kind.HEAD: nn.Module,
    Kind.LOSS: Loss,
}
# How many values the builder hands over by position.
GIVEN = {
    Kind.ENCODER: 1,
    Kind.QUADRANT: 2,
    Kind.PROJECTOR: 2,
    Kind.FUSION: 1,
    Kind.TEMPORAL: 1,
    Kind.HEAD: 2,
}
PICTURE, MAP, WIDTHS = (3, 16, 16), (8, 4, 4), {"face": 5, "voice": 3, "ecg": 4}
VECTOR = (7,)  # what encoders of vectors read
N, B, T = 4, 3, 5

# The smallest arguments of each registered component. A component without a line fails the suite.
ARGUMENTS: dict[tuple[str, str], dict[str, Any]] = {
    ("corpus", "demo"): {},
    ("corpus", "manifest"): {"path": "manifest.csv"},
    ("corpus", "ravdess"): {"root": "ravdess"},
    ("corpus", "semaine"): {"root": "semaine"},
    ("corpus", "sewa"): {"root": "sewa"},
    ("corpus", "afew-va"): {"root": "afew-va"},
    ("corpus", "ceap360vr"): {"root": "ceap360vr"},
    ("corpus", "mosi"): {"root": "mosi"},
    ("reader", "features"): {"width": 2},
    ("reader", "face-video"): {"size": 16, "detector": "whole"},
    ("reader", "mel-spectrogram"): {"mels": 16},
    ("detector", "boxes"): {},
    ("detector", "haar"): {},
    ("detector", "whole"): {},
    ("detector", "yunet"): {"model": "yunet.onnx"},
    ("degradation", "picture"): {},
    ("degradation", "spectrogram"): {},
    ("encoder", "denoising-generator"): {"width": 4},
    ("encoder", "mlp"): {"hidden": [6]},
    ("encoder", "timm"): {"model": "test_resnet"},
    ("quadrant", "classifier"): {},
    ("quadrant", "discriminator"): {"width": 4},
    ("quadrant", "none"): {},
    ("projector", "conv-pyramid"): {"width": 4},
    ("projector", "linear"): {"dim": 6},
    ("fusion", "none"): {},
    ("fusion", "concat"): {},
    ("fusion", "attention"): {"dim": 6, "score_dim": 5},
    ("fusion", "gmu"): {"dim": 6},
    ("temporal", "none"): {},
    ("temporal", "lstm"): {"dim": 6},
    ("temporal", "luong-lstm"): {"dim": 6, "memory": 3},
    ("head", "linear"): {},
    ("loss", "afc"): {},
    ("loss", "ccc"): {},
    ("loss", "mse"): {},
}


def _registry() -> Registry:
    before = os.environ.get("FUSEKIT_PLUGINS")
    os.environ["FUSEKIT_PLUGINS"] = ""  # installed plugins have suites of their own
    try:
        registry, _ = plugins.load()
    finally:
        if before is None:
            del os.environ["FUSEKIT_PLUGINS"]
        else:
            os.environ["FUSEKIT_PLUGINS"] = before
    return registry


REGISTRY = _registry()
ENTRIES = [REGISTRY.get(kind, name) for kind in Kind for name in REGISTRY.names(kind)]


def _of(*kinds: Kind) -> pytest.MarkDecorator:
    entries = [e for e in ENTRIES if e.kind in kinds]
    return pytest.mark.parametrize("entry", entries, ids=[f"{e.kind}-{e.name}" for e in entries])


def _make(entry: Entry, *given: Any, **more: Any) -> Any:
    torch.manual_seed(0)
    return REGISTRY.load(entry)(*given, **{**ARGUMENTS[entry.kind, entry.name], **more})


# ---------------------------------------------------------------- all kinds


def test_every_registered_component_has_a_case_and_every_case_a_component() -> None:
    assert {(e.kind.value, e.name) for e in ENTRIES} == set(ARGUMENTS)


def test_every_kind_has_a_base_and_a_component() -> None:
    assert set(BASES) == set(Kind) == {e.kind for e in ENTRIES}


@_of(*Kind)
def test_a_reference_leads_to_a_class_of_its_kind(entry: Entry) -> None:
    cls = REGISTRY.load(entry)
    assert issubclass(cls, BASES[entry.kind])
    assert not inspect.isabstract(cls)
    assert cls.__doc__, "a component says what it is"
    assert entry.summary
    assert "\n" not in entry.summary


@_of(*Kind)
def test_the_signature_is_the_recipe_s_schema(entry: Entry) -> None:
    cls = REGISTRY.load(entry)
    found = [
        p
        for p in inspect.signature(cls).parameters.values()
        if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]
    given = [p for p in found if p.kind is not p.KEYWORD_ONLY]
    assert len(given) == GIVEN.get(entry.kind, 0), (
        "what the builder gives is positional, the rest keyword-only"
    )
    schema = parameters(cls)
    for name, parameter in schema.items():
        assert parameter.annotation is not Any, f"{name} has no type"
        assert name in (cls.__doc__ or ""), f"the docstring does not explain {name}"
    required = {n for n, p in schema.items() if p.default is p.empty}
    assert required <= set(ARGUMENTS[entry.kind, entry.name]) <= set(schema)


# ---------------------------------------------------------------- networks


def _window(entry: Entry) -> tuple[int, ...]:
    return VECTOR if entry.name == "mlp" else PICTURE


def _module(entry: Entry) -> nn.Module:
    match entry.kind:
        case Kind.ENCODER:
            return _make(entry, _window(entry))
        case Kind.QUADRANT:
            return _make(entry, PICTURE, MAP)
        case Kind.PROJECTOR:
            return _make(entry, MAP, "channel")
        case Kind.FUSION:
            return _make(entry, dict(list(WIDTHS.items())[:1]) if entry.name == "none" else WIDTHS)
        case Kind.TEMPORAL:
            return _make(entry, 5)
        case _:
            return _make(entry, 5, 2)


def _inputs(entry: Entry, module: Any, seed: int = 0) -> Any:
    g = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=g) * 2 - 1

    match entry.kind:
        case Kind.ENCODER:
            return (rand(N, *_window(entry)),)
        case Kind.QUADRANT:
            return (rand(N, *PICTURE), rand(N, *MAP))
        case Kind.PROJECTOR:
            return (rand(N, *MAP), torch.arange(N) % 4)
        case Kind.FUSION:
            feats = tuple(rand(N, T, WIDTHS[m]) for m in module.names)
            return (*feats, torch.ones(N, T, len(feats), dtype=torch.bool))
        case Kind.TEMPORAL:
            return (rand(N, T, 5), torch.ones(N, T, dtype=torch.bool))
        case _:
            return (rand(N, T, 5),)


def _call(entry: Entry, module: Any, inputs: Any) -> list[Tensor]:
    """Everything a component answers, rows first."""
    match entry.kind:
        case Kind.ENCODER:
            z = module.encode(inputs[0])
            return [z, module.decode(z)] if isinstance(module, DenoisingEncoder) else [z]
        case Kind.QUADRANT:
            latent = module(*inputs)
            return [v for v in vars(latent).values() if v is not None]
        case Kind.PROJECTOR:
            return [module(Latent(z=inputs[0], quadrant=inputs[1]))]
        case Kind.FUSION:
            fused, state, trace = module(dict(zip(module.names, inputs, strict=False)), inputs[-1])
            return [fused, *state.values(), *trace.values()]
        case Kind.TEMPORAL:
            y, state, trace = module(*inputs)
            return [y, *state.values(), *trace.values()]
        case _:
            return [module(*inputs)]


NETWORKS = (Kind.ENCODER, Kind.QUADRANT, Kind.PROJECTOR, Kind.FUSION, Kind.TEMPORAL, Kind.HEAD)


@_of(*NETWORKS)
def test_declared_shapes_are_those_of_a_real_pass(entry: Entry) -> None:
    module = _module(entry).eval()
    out = _call(entry, module, _inputs(entry, module))
    match entry.kind:
        case Kind.ENCODER:
            assert out[0].shape == (N, *module.out_shape)
            if isinstance(module, DenoisingEncoder):
                assert out[1].shape == (N, *PICTURE)
                assert out[1].abs().max() <= 1
        case Kind.QUADRANT:
            assert isinstance(module, QuadrantHead)
            latent = module(*_inputs(entry, module))
            assert module.reads in ("latent", "reconstruction")
            assert module.conditioning in ("channel", "vector", "none")
            assert latent.z.shape == (N, *MAP)
            if module.conditioning != "none":
                assert latent.quadrant.shape == (N,)
                assert latent.quadrant.dtype == torch.int64
                assert not latent.quadrant.requires_grad
                assert set(latent.quadrant.tolist()) <= {0, 1, 2, 3}
            if module.critic:
                score, affect = module.judge(_inputs(entry, module)[0])  # type: ignore[operator]
                assert score.shape == (N,)
                assert affect.shape == (N, 2)
        case Kind.PROJECTOR | Kind.FUSION | Kind.TEMPORAL:
            assert out[0].shape[-1] == module.out_dim
            assert out[0].shape[:-1] == ((N,) if entry.kind is Kind.PROJECTOR else (N, T))
        case _:
            assert out[0].shape == (N, T, 2)
    if entry.kind is Kind.FUSION:
        assert module.names == tuple(WIDTHS)[: len(module.names)]
    if entry.kind is Kind.TEMPORAL:
        _, _, trace = module(*_inputs(entry, module))
        assert ("attention" in trace) == (module.memory > 0)
        if module.memory:
            assert trace["attention"].shape == (N, T, module.memory)


@_of(*NETWORKS)
def test_rows_never_mix(entry: Entry) -> None:
    module = _module(entry).eval()
    inputs = _inputs(entry, module)
    before = _call(entry, module, inputs)
    changed = [x.clone() for x in inputs]
    for x in changed:
        if x.is_floating_point():
            x[1] = -x[1]
    keep = [0, 2, 3]
    for a, b in zip(before, _call(entry, module, changed), strict=True):
        torch.testing.assert_close(a[keep], b[keep])
    order = torch.tensor([3, 1, 0, 2])
    for a, b in zip(before, _call(entry, module, [x[order] for x in inputs]), strict=True):
        torch.testing.assert_close(a[order], b)


@_of(*NETWORKS)
def test_it_repeats_itself_and_survives_its_state_dict(entry: Entry) -> None:
    module, other = _module(entry).eval(), _module(entry).eval()
    with torch.no_grad():
        for p in other.parameters():
            p.add_(1)
    other.load_state_dict(module.state_dict())
    inputs = _inputs(entry, module)
    first, again, copy = (_call(entry, m, inputs) for m in (module, module, other))
    for a, b, c in zip(first, again, copy, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


@_of(*NETWORKS)
@pytest.mark.parametrize("value", [0.0, -1.0, 1.0])
def test_silence_black_and_white_give_finite_answers_and_gradients(entry: Entry, value: float) -> None:
    module = _module(entry)
    inputs = [torch.full_like(x, value) if x.is_floating_point() else x for x in _inputs(entry, module)]
    out = _call(entry, module, inputs)
    assert all(torch.isfinite(x).all() for x in out)
    learned = [x for x in out if x.requires_grad]
    if learned:
        sum(x.sum() for x in learned).backward()  # type: ignore[union-attr]
        assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)


@_of(*NETWORKS)
def test_bf16_autocast_runs(entry: Entry) -> None:
    module = _module(entry)
    with torch.autocast("cpu", torch.bfloat16):
        out = _call(entry, module, _inputs(entry, module))
    assert all(torch.isfinite(x).all() for x in out)


@_of(*NETWORKS)
def test_it_builds_and_runs_on_the_meta_device(entry: Entry) -> None:
    with torch.device("meta"):
        module = _module(entry)
    expected = sum(p.numel() for p in _module(entry).parameters())
    assert sum(p.numel() for p in module.parameters()) == expected
    assert all(p.is_meta for p in module.parameters())


@_of(Kind.PROJECTOR)
@pytest.mark.parametrize("conditioning", ["channel", "vector", "none"])
@pytest.mark.parametrize("shape", [MAP, (8,), (8, 10)])
def test_projectors_are_honest_or_refuse(entry: Entry, conditioning: str, shape: tuple[int, ...]) -> None:
    try:
        projector = _make(entry, shape, conditioning)
    except FusekitError as error:
        assert str(shape) in str(error)  # noqa: PT017 - refusing is allowed, saying why is not optional
        return
    f = projector(Latent(z=torch.randn(N, *shape), quadrant=torch.arange(N) % 4))
    assert f.shape == (N, projector.out_dim)


@_of(Kind.FUSION)
def test_fusions_never_read_what_is_absent(entry: Entry) -> None:
    module = _module(entry)
    *feats, present = _inputs(entry, module)
    present[0, 1, 0] = present[2] = False
    dirty = [x.clone() for x in feats]
    for i, x in enumerate(dirty):
        x[~present[..., i]] = float("nan")
    clean = _call(entry, module, [*feats, present])
    for a, b in zip(clean, _call(entry, module, [*dirty, present]), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert torch.equal(
        clean[0][2], clean[0][2, :1].expand_as(clean[0][2])
    )  # nothing present: one learned vector


@_of(Kind.TEMPORAL)
def test_causal_heads_stream_and_ignore_padding(entry: Entry) -> None:
    head = _module(entry)
    assert isinstance(head, Temporal)
    x, valid = _inputs(entry, head)
    whole, last, _ = head(x, valid)
    if head.causal:
        state = head.init_state(N)
        for t in range(T):
            y, state, _ = head(x[:, t : t + 1], valid[:, t : t + 1], None, state)
            torch.testing.assert_close(y[:, 0], whole[:, t])
        for name in last:
            torch.testing.assert_close(state[name], last[name])
    padding = torch.full((N, 2, 5), float("nan"))
    y, state, _ = head(torch.cat([x, padding], 1), torch.cat([valid, torch.zeros(N, 2, dtype=torch.bool)], 1))
    torch.testing.assert_close(y[:, :T], whole)
    for name in last:
        torch.testing.assert_close(state[name], last[name])


# ---------------------------------------------------------------- losses


@_of(Kind.LOSS)
@pytest.mark.parametrize("n", [2, 5, 50])
def test_a_perfect_prediction_costs_the_least_there_is_at_any_size(entry: Entry, n: int) -> None:
    """A rival's CCC loss mixes n and n - 1: a perfect prediction of two samples costs 0.5 there."""
    loss = _make(entry)
    g = torch.Generator().manual_seed(n)
    y = torch.rand(n, 2, generator=g) * 2 - 1
    known = torch.ones(n, 2, dtype=torch.bool)
    perfect = loss(y, y, known)
    assert perfect.shape == ()
    least = {"afc": 0.01 - 6.0, "ccc": 0.0, "mse": 0.0}[entry.name]
    assert float(perfect) == pytest.approx(least, abs=1e-5)
    assert loss(y + 0.2, y, known) > perfect
    assert loss(-y, y, known) > perfect


@_of(Kind.LOSS)
def test_losses_never_read_what_is_unknown(entry: Entry) -> None:
    loss = _make(entry)
    known = torch.rand(20, 2) > 0.3
    y, w = torch.rand(20, 2), torch.rand(20, 2) + 0.5
    p = torch.rand(20, 2, requires_grad=True)
    value = loss(p, y, known, w)
    value.backward()
    q = p.detach().masked_fill(~known, float("nan")).requires_grad_()
    other = loss(q, y.masked_fill(~known, float("nan")), known, w.masked_fill(~known, float("nan")))
    other.backward()
    torch.testing.assert_close(other, value)
    torch.testing.assert_close(q.grad, p.grad)
    nothing = loss(p, y, torch.zeros_like(known), w)
    assert torch.isfinite(nothing)


# ---------------------------------------------------------------- data


@_of(Kind.DEGRADATION)
def test_degradations_draw_each_row_from_its_own_generator(entry: Entry) -> None:
    damage = _make(entry)
    x = torch.rand(12, *PICTURE) * 2 - 1
    kept = x.clone()

    def rngs() -> list[np.random.Generator]:
        return [np.random.default_rng([7, i]) for i in range(len(x))]

    out = damage(x, rngs())
    assert torch.equal(x, kept)
    assert out.shape == x.shape
    assert out.dtype == x.dtype
    assert out.min() >= -1
    assert out.max() <= 1
    assert any(not torch.equal(a, b) for a, b in zip(out, x, strict=True))
    order = [5, 0, 11, 3]
    some = damage(x[order], [rngs()[i] for i in order])
    torch.testing.assert_close(some, out[order])


@_of(Kind.DETECTOR)
def test_detectors_answer_boxes_or_say_what_they_lack(entry: Entry, tmp_path: Path) -> None:
    cls = REGISTRY.load(entry)
    assert len(cls.to_tight) == 4
    try:
        detector = _make(entry, **({"model": str(tmp_path / "none.onnx")} if entry.name == "yunet" else {}))
        found = detector.detect(np.zeros((40, 60, 3), np.uint8))
    except FusekitError as error:
        assert len(str(error)) > 20  # noqa: PT017 - e.g. a model file that the user must bring
        return
    assert found.ndim == 2
    assert found.shape[1] == 5
    assert np.isfinite(found).all()


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of a moving picture with a tone."""
    import av

    path = tmp_path_factory.mktemp("media") / "clip.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=22050)
        for k in range(10):
            rgb = np.full((48, 64, 3), 20 * k, np.uint8)
            for packet in video.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")):
                container.mux(packet)
        tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(22050) / 22050)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        frame.sample_rate = 22050
        for packet in [*audio.encode(frame), *audio.encode(None), *video.encode(None)]:
            container.mux(packet)
    return path


@_of(Kind.READER)
def test_readers_windows_have_the_shape_they_declare(entry: Entry, media: Path) -> None:
    reader = _make(entry)
    if isinstance(getattr(reader, "detector", None), str):
        reader.use_detector(_make(REGISTRY.get(Kind.DETECTOR, reader.detector)))
    assert reader.lookahead_s >= 0
    json.dumps(reader.settings())
    if reader.medium == "features":
        media = media.with_suffix(".csv")
        media.write_text("".join(["time_s,a,b\n", *(f"{k / 10},{k},{-k}\n" for k in range(10))]))
    assert reader.medium in ("video", "audio") or media.suffix in reader.suffixes
    stream = reader.prepare(Source(media))
    assert 0.9 < float(stream["duration_s"][0]) < 1.3
    assert all(isinstance(v, np.ndarray) for v in stream.values())
    times = np.array(
        [0.15, 0.35, 0.8]
    )  # not 0: the sound encoder's lead-in shifts the first picture a little
    windows = reader.windows(stream, times)
    assert windows.shape == (3, *reader.raw_shape)
    assert windows.dtype in (np.uint8, np.float32)
    present = reader.present(stream, times)
    assert present.dtype == bool
    assert present.tolist() == [True] * 3
    np.testing.assert_array_equal(reader.windows(stream, times[1:2])[0], windows[1])  # a window stands alone


@_of(Kind.READER)
def test_readers_refuse_what_is_no_medium(entry: Entry, tmp_path: Path) -> None:
    reader = _make(entry)
    if isinstance(getattr(reader, "detector", None), str):
        reader.use_detector(_make(REGISTRY.get(Kind.DETECTOR, reader.detector)))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    for name in ("missing.mp4", "empty.mp4", "noise.mp4"):
        with pytest.raises(DataError, match=name):
            reader.prepare(Source(tmp_path / name))


@_of(Kind.CORPUS)
def test_corpora_describe_themselves_and_refuse_what_is_not_there(
    entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSEKIT_CACHE", str(tmp_path / "cache"))
    arguments = {k: str(tmp_path / v) for k, v in ARGUMENTS[entry.kind, entry.name].items()}
    corpus = REGISTRY.load(entry)(**arguments)
    low, high = corpus.label_range
    assert low < high
    assert corpus.describe()
    assert "\n" not in corpus.describe()
    if arguments:
        with pytest.raises(DataError, match=str(tmp_path)):
            corpus.load(["face", "voice"], ["valence", "arousal"])


def test_the_bases_are_those_that_plugins_import() -> None:
    for base in BASES.values():
        if base is not nn.Module:
            assert getattr(contracts, base.__name__) is base
