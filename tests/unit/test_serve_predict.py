"""Predictions of files and streams: equal to each other and to the engine's evaluation; absences are said."""

import csv
import json
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch

from fusekit import build, plugins
from fusekit.contracts import Clip, Source
from fusekit.data.labels import unscale
from fusekit.data.steps import build_steps
from fusekit.engine.checkpoint import save_checkpoint, with_prefix
from fusekit.engine.evaluation import predict_clip
from fusekit.engine.latents import clip_latents, stored
from fusekit.errors import DataError, FusekitError, RunError
from fusekit.media import read_audio, read_video
from fusekit.recipe.load import load as load_recipe
from fusekit.runs import Run, open_run
from fusekit.serve import predictor as predictor_room
from fusekit.serve.predict import predict_files
from fusekit.serve.predictor import Predictor
from fusekit.serve.streaming import StreamPredictor

RATE = 8000
RECIPE = """
name: tiny
corpus: {name: manifest, path: nowhere.csv}
target: {dims: [valence, arousal], step_hz: 10}
modalities:
  face:
    reader:    {name: face-video, size: 16, detector: whole, margin: 0.0}
    encoder:   {name: denoising-generator, width: 2}
    quadrant:  {name: discriminator, width: 2}
    projector: {name: conv-pyramid, width: 2}
  voice:
    reader:    {name: mel-spectrogram, mels: 16, rate: 8000, hop: 256, n_fft: 512, reference: running}
    encoder:   {name: denoising-generator, width: 2}
    quadrant:  {name: discriminator, width: 2}
    projector: {name: conv-pyramid, width: 2}
fusion: {name: gmu, dim: 12}
temporal: {name: luong-lstm, dim: 8, memory: 4}
stages:
  - {name: latent, objective: adversarial, epochs: 1, batch_size: 4}
  - {name: sequence, objective: supervised, epochs: 1, batch_size: 4, windows: [2, 4], freeze: [encoder]}
"""


SHARED = Path(os.environ.get("FUSEKIT_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")
REAL = [
    "grid_lipnet/GRID/bbaf2n.mpg",
    "grid_lipnet/GRID/lwbsza.mpg",
    "ravdess_actor05_av/full_frame_360p/01-01-03-01-01-02-05.mp4",
]


def make_run(folder: Path, *overrides: str) -> Path:
    """A run of random weights on labels from 0 to 10."""
    folder.mkdir(parents=True)
    (folder / "tiny.yaml").write_text(RECIPE)
    recipe = load_recipe(folder / "tiny.yaml", overrides)
    registry, _ = plugins.load()
    torch.manual_seed(1)
    shapes = {m: r.raw_shape for m, r in build.build_readers(recipe, registry).items()}
    model = build.build_model(recipe, registry, shapes)
    for p in model.parameters():  # away from the near-zero start, so that steps, gates and attention differ
        torch.nn.init.normal_(p, std=0.4) if p.dim() > 1 else None
    (folder / "recipe.yaml").write_text(recipe.to_yaml())
    (folder / "provenance.json").write_text(json.dumps({"label_range": [0, 10]}))
    save_checkpoint(folder / "checkpoints" / "best.safetensors", with_prefix("model", model.state_dict()), {})
    return folder


def opened(folder: Path) -> Run:
    return open_run(folder, plugins.load()[0], "cpu")


def frames_of(seconds: float, fps: int = 25, dark: tuple[float, float] | None = None) -> list[np.ndarray]:
    """Coloured gradients that move; black (no face) within `dark`."""
    ramp = np.linspace(0, 255, 48)[:, None] + np.zeros((48, 64))
    frames = []
    for i in range(round(seconds * fps)):
        frame = np.stack([np.roll(ramp, 3 * i, axis=k % 2) * (0.5 + 0.1 * k) for k in range(3)], axis=-1)
        if dark and dark[0] <= i / fps < dark[1]:
            frame[:] = 0
        frames.append(frame.astype(np.uint8))
    return frames


def sound_of(seconds: float) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    loud = (0.2 + 0.6 * (t % 0.7 < 0.35)) * np.random.default_rng(3).normal(0, 0.1, len(t))
    return (loud + 0.2 * np.sin(2 * np.pi * (300 + 200 * t) * t)).astype(np.float32)


def write_video(path: Path, frames: list[np.ndarray], sound: np.ndarray | None, fps: int = 25) -> Path:
    """Lossless picture and sound, so that a stream can be compared with its file."""
    with av.open(str(path), "w") as out:
        picture = out.add_stream("ffv1", rate=fps)
        picture.height, picture.width, picture.pix_fmt = *frames[0].shape[:2], "bgr0"
        track = out.add_stream("pcm_s16le", rate=RATE, layout="mono") if sound is not None else None
        for i, frame in enumerate(frames):
            packet = av.VideoFrame.from_ndarray(frame, format="rgb24")
            packet.pts, packet.time_base = i, Fraction(1, fps)
            out.mux(picture.encode(packet))
        out.mux(picture.encode(None))
        if track is not None and sound is not None:
            block = av.AudioFrame.from_ndarray(as_stored(sound)[None], format="s16", layout="mono")
            block.sample_rate, block.pts, block.time_base = RATE, 0, Fraction(1, RATE)
            out.mux(track.encode(block))
            out.mux(track.encode(None))
    return path


def as_stored(sound: np.ndarray) -> np.ndarray:
    return np.round(sound * 32767).astype(np.int16)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 s of picture, dark from 1 to 1.8 s (to the frame at 1.76), and 2.6 s of sound."""
    return write_video(
        tmp_path_factory.mktemp("media") / "clip.mkv", frames_of(3, dark=(1, 1.8)), sound_of(2.6)
    )


def by_engine(run: Run, clip: Path) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """What evaluation during training would say: all steps at once."""
    streams = {m: r.prepare(Source(clip)) for m, r in run.readers.items()}
    clips, dims = [Clip("c", "", {}, None)], run.recipe.target.dims
    (steps,), _ = build_steps(clips, {"c": streams}, run.readers, dims, 10, (0, 10), labelled=False)
    latents = stored(clip_latents(run.model, steps, run.runtime, chunk=1))
    found = predict_clip(run.model, latents, steps.present, run.runtime, run.recipe.evaluation.states, 4)
    return unscale(found.prediction, (0, 10)), steps.present, found.trace


@pytest.mark.parametrize("states", ["last", "carry"])
def test_file_equals_evaluation(
    tmp_path: Path, clip: Path, states: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor_room, "CHUNK", 7)  # so that a clip of 30 steps takes several
    run = opened(make_run(tmp_path / "run", f"evaluation.states={states}"))
    found = Predictor(run).predict_file(clip)
    prediction, present, trace = by_engine(run, clip)
    assert len(found.times) == 30
    np.testing.assert_allclose(found.prediction, prediction, atol=1e-5)
    np.testing.assert_array_equal(found.present, present)
    for name in ("gate", "attention"):
        np.testing.assert_allclose(found.trace[name], trace[name], atol=1e-5)
    assert found.prediction.std(axis=0).min() > 0.01  # it does say something
    assert np.flatnonzero(~found.present[:, 0]).tolist() == list(range(10, 18))
    assert np.flatnonzero(~found.present[:, 1]).tolist() == list(range(26, 30))


@pytest.mark.parametrize("states", ["last", "carry"])
def test_stream_equals_file(tmp_path: Path, clip: Path, states: str) -> None:
    run = opened(make_run(tmp_path / "run", f"evaluation.states={states}"))
    whole = Predictor(run).predict_file(clip)
    stream = StreamPredictor(run)
    assert stream.sound_hz == RATE
    frames, sound = frames_of(3, dark=(1, 1.8)), as_stored(sound_of(2.6)).astype(np.float32) / 32768
    said, heard = [], 0
    for i, frame in enumerate(frames):
        now = i / 25
        stream.push_frame(frame, now)
        until = min(round((now + 0.037) * RATE), len(sound))  # pieces that fit neither hop nor step
        stream.push_sound(sound[heard:until])
        heard = until
        fresh = stream.poll()
        said += fresh
        if fresh:
            assert fresh[-1].time_s <= now + 1e-6  # nothing is said before it happens
            assert now - fresh[-1].time_s <= stream.lookahead_s + 2 / 25 + 0.1  # nor much later
    before = len(said)
    stream.finish()
    said += stream.poll()
    assert 0 < before < len(said)
    assert stream.poll() == []
    np.testing.assert_allclose([s.time_s for s in said], whole.times)
    np.testing.assert_array_equal([s.present for s in said], whole.present)
    np.testing.assert_allclose([s.prediction for s in said], whole.prediction, atol=1e-5)
    for name in ("gate", "attention"):
        np.testing.assert_allclose([s.trace[name] for s in said], whole.trace[name], atol=1e-5)


def test_stream_of_sound_alone_equals_sound_file(run_dir: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "voice.wav", as_stored(sound_of(2)), RATE)
    run = opened(run_dir)
    whole = Predictor(run).predict_file(tmp_path / "voice.wav")
    assert any("face is absent: voice.wav has no picture" in note for note in whole.notes)
    stream = StreamPredictor(run, ["voice"])
    stream.push_sound(as_stored(sound_of(2)).astype(np.float32) / 32768)
    stream.finish()
    said = stream.poll()
    np.testing.assert_allclose([s.prediction for s in said], whole.prediction, atol=1e-5)
    assert {tuple(s.present) for s in said} == {(False, True)}
    np.testing.assert_allclose([s.trace["gate"] for s in said], [[0, 1]] * len(said))


def test_reference_of_the_whole_file_cannot_stream(tmp_path: Path) -> None:
    run = opened(make_run(tmp_path / "run", "modalities.voice.reader.reference=file"))
    with pytest.raises(RunError, match=r"modalities\.voice\.reader.*reference: running"):
        StreamPredictor(run)
    assert StreamPredictor(run, ["face"]).sound_hz is None  # what does not hear it can


def test_unknown_modality_is_named(run_dir: Path, clip: Path) -> None:
    run = opened(run_dir)
    with pytest.raises(RunError, match="no modality sound; it has face, voice"):
        StreamPredictor(run, ["sound"])
    with pytest.raises(DataError, match="no modality sound; it has face, voice"):
        Predictor(run).predict_file({"sound": clip})


def test_silent_video_and_separate_files(run_dir: Path, tmp_path: Path, clip: Path) -> None:
    mute = write_video(tmp_path / "mute.mkv", frames_of(1), None)
    soundfile.write(tmp_path / "voice.wav", as_stored(sound_of(1)), RATE)
    predictor = Predictor(opened(run_dir))
    alone = predictor.predict_file(mute)
    assert alone.notes == ("voice is absent: mute.mkv has no sound",)
    assert alone.video == mute
    assert alone.sound is None
    both = predictor.predict_file({"face": mute, "voice": tmp_path / "voice.wav"})
    assert both.notes == ()
    assert both.present.all()
    assert both.sound == tmp_path / "voice.wav"
    crossed = predictor.predict_file({"face": mute, "voice": clip})
    assert (crossed.video, crossed.sound) == (mute, clip)
    crossed = predictor.predict_file({"face": clip, "voice": tmp_path / "voice.wav"})
    assert (crossed.video, crossed.sound) == (clip, tmp_path / "voice.wav")
    assert np.abs(both.prediction - alone.prediction).max() > 1e-3
    half = predictor.predict_file(clip)
    assert any("face is absent for 0.8 of 3.0 s" in note for note in half.notes)


def test_nothing_left_is_an_error(run_dir: Path, tmp_path: Path) -> None:
    predictor = Predictor(opened(run_dir))
    dark = write_video(tmp_path / "dark.mkv", frames_of(1, dark=(0, 9)), np.zeros(RATE, np.float32))
    with pytest.raises(DataError, match="nothing to predict from.*no face.*digital silence"):
        predictor.predict_file(dark)


def test_recipe_with_given_boxes_works_on_a_file_without(tmp_path: Path, clip: Path) -> None:
    run = opened(make_run(tmp_path / "run", "modalities.face.reader.detector=boxes"))
    found = Predictor(run).predict_file(clip)
    assert any("haar" in note for note in found.notes)
    assert not found.present[:, 0].any()  # gradients are no faces, and the given boxes are not invented
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("time_s,x0,y0,x1,y1\n0,8,4,40,36\n2.9,8,4,40,36\n")
    given = Predictor(run).predict_file(clip, boxes=boxes)
    assert not any("haar" in note for note in given.notes)
    assert given.face is not None
    np.testing.assert_array_equal(given.face.at(1.0), [8, 4, 40, 36])
    assert "haar" in " ".join(StreamPredictor(run).notes)


def test_boxes_that_training_had_are_missed_by_any_detector(tmp_path: Path, clip: Path) -> None:
    run = opened(make_run(tmp_path / "run"))
    before = Predictor(run).predict_file(clip).notes
    (run.folder / "provenance.json").write_text(json.dumps({"label_range": [0, 10], "boxes": ["face"]}))
    (note,) = set(Predictor(run).predict_file(clip).notes) - set(before)
    assert "trained with face boxes given by its corpus; here the whole detector" in note
    assert run.readers["face"].detector == "whole"
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("time_s,x0,y0,x1,y1\n0,8,4,40,36\n2.9,8,4,40,36\n")
    assert not any("trained with" in n for n in Predictor(run).predict_file(clip, boxes=boxes).notes)


def test_sound_serves_a_run_of_sound_and_not_one_of_faces(tmp_path: Path, clip: Path) -> None:
    soundfile.write(tmp_path / "voice.wav", as_stored(sound_of(1)), RATE)
    face = opened(make_run(tmp_path / "face", "modalities.voice=null", "fusion={name: none}"))
    with pytest.raises(DataError, match="nothing to predict from: face: voice.wav has no picture"):
        Predictor(face).predict_file(tmp_path / "voice.wav")
    found = Predictor(face).predict_file(clip)
    assert list(found.columns()) == [
        "file", "time_s", "valence", "arousal",
        "attention_1", "attention_2", "attention_3", "attention_4", "present_face",
    ]  # fmt: skip


def test_label_range_comes_from_the_corpus_if_the_run_does_not_say(tmp_path: Path, clip: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "provenance.json").unlink()
    with pytest.raises(DataError, match="nowhere.csv"):
        Predictor(opened(folder))
    (folder / "metrics.json").write_text('{"label_range": [-1, 1]}')
    common = Predictor(opened(folder)).predict_file(clip).prediction
    (folder / "metrics.json").write_text('{"label_range": [0, 10]}')
    own = Predictor(opened(folder)).predict_file(clip).prediction
    np.testing.assert_allclose(own, 5 * common + 5, rtol=1e-5)


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_table(run_dir: Path, clip: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / "new" / f"table.{suffix}"
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    found = predict_files(run_dir, plugins.load()[0], [clip, clip], out=out, device="cpu")
    from fusekit.study.table import read_table

    table = read_table(out)
    assert list(table) == [
        "file", "time_s", "valence", "arousal", "gate_face", "gate_voice",
        "attention_1", "attention_2", "attention_3", "attention_4", "present_face", "present_voice",
    ]  # fmt: skip
    assert len(table["time_s"]) == 60
    np.testing.assert_allclose(table["valence"][:30], found[0].prediction[:, 0], rtol=1e-6)
    assert set(table["present_face"]) == {0, 1}


def test_one_bad_file_does_not_stop_the_others(
    run_dir: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, noise = tmp_path / "empty.mp4", tmp_path / "noise.mp4"
    empty.touch()
    noise.write_bytes(os.urandom(5000))
    files = [empty, clip, noise, tmp_path / "gone.wav"]
    with pytest.raises(FusekitError, match="3 of 4 files") as error:
        predict_files(run_dir, plugins.load()[0], files, out=tmp_path / "t.csv", device="cpu")
    reasons = {"empty.mp4": "0 bytes", "noise.mp4": "can be decoded", "gone.wav": "no such file"}
    for name, why in reasons.items():
        assert any(name in line and why in line for line in str(error.value).splitlines())
    with (tmp_path / "t.csv").open() as file:
        assert {row["file"] for row in csv.DictReader(file)} == {str(clip)}
    assert "face is absent for 0.8" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(DataError, match="no such file"):
        predict_files(run_dir, plugins.load()[0], [tmp_path / "gone.wav"], device="cpu")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"out": "t.xlsx"}, "must end in .csv or .parquet or .json"),
        ({"plot": "t.pdf"}, "must end in .png"),
        ({"video": "t.avi"}, "must end in .mp4"),
        ({"video": "a.mp4"}, "one of the recordings"),
        ({"plot": "t.png", "files": ["a.mp4", "b.mp4"]}, "takes one recording"),
        ({"files": []}, "at least one"),
    ],
)
def test_senseless_requests_fail_before_any_work(tmp_path: Path, options: dict, what: str) -> None:
    files = [tmp_path / f for f in options.pop("files", ["a.mp4"])]
    named = {k: tmp_path / v for k, v in options.items()}
    with pytest.raises(FusekitError, match=what):  # the run does not even exist
        predict_files(tmp_path / "no-run", plugins.load()[0], files, **named)


def test_summary_figure_and_video(
    run_dir: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict_files(run_dir, plugins.load()[0], [clip], device="cpu")
    said = capsys.readouterr().out
    assert "labels 0 to 10" in said
    assert "10 of 30 steps" in said
    predict_files(
        run_dir, plugins.load()[0], [clip], plot=tmp_path / "p.png", video=tmp_path / "v.mp4", device="cpu"
    )
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    with av.open(str(tmp_path / "v.mp4")) as written:
        assert {s.type for s in written.streams} == {"video", "audio"}


@pytest.mark.parametrize("name", REAL)
def test_real_recordings(tmp_path: Path, name: str) -> None:
    if not (SHARED / name).is_file():
        pytest.skip(f"no {name} under {SHARED}; FUSEKIT_SHARED_DATA names the folder")
    run = opened(
        make_run(tmp_path / "run", "modalities.face.reader={name: face-video, size: 16, detector: haar}")
    )
    found = Predictor(run).predict_file(SHARED / name)
    assert found.present[:-1].all()  # GRID's sound ends 0.05 s before its picture
    assert found.notes == ()
    assert found.face is not None
    assert np.isfinite(found.face.boxes).all()
    stream = StreamPredictor(run)
    for picture in read_video(SHARED / name):
        stream.push_frame(picture.rgb, picture.time_s)
    stream.push_sound(read_audio(SHARED / name, RATE))
    stream.finish()
    said = stream.poll()
    np.testing.assert_allclose([s.prediction for s in said], found.prediction, atol=1e-5)
    np.testing.assert_array_equal([s.present for s in said], found.present)
