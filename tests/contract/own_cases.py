"""Cases of fusekit's own components for the conformance kit: small arguments, recordings and corpora."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import soundfile
import test_ceap360vr
import test_mosi

from fusekit.contracts import Source
from fusekit.testing import Case

RATE, FRAMES, STEP_S = 22050, 12, 0.1
SCORES = ("location", "pair", "dot", "general", "concat")


def cases() -> list[Case]:
    """At least one per component that fusekit registers."""
    return [*_data(), *_networks(), *(Case("loss", name) for name in ("afc", "ccc", "mse"))]


def _data() -> list[Case]:
    small = {"subjects": 3, "seconds": 12}
    crops = {"size": 16, "detector": "whole"}
    heard: dict[str, Any] = {"file": sound, "blank": silence}
    tabled: dict[str, Any] = {"file": table, "blank": zeros, "altered": changed_table}
    return [
        Case("corpus", "manifest", layout=manifest, broken=bad_manifest),
        Case("corpus", "demo", small, layout=lambda folder: {}),
        Case("corpus", "demo", small, "streams", modalities=("ecg", "text"), layout=lambda folder: {}),
        Case("corpus", "ravdess", layout=ravdess, broken=bad_ravdess),
        Case("corpus", "semaine", layout=semaine, broken=bad_semaine),
        Case("corpus", "sewa", layout=sewa, broken=bad_sewa),
        Case("corpus", "afew-va", modalities=("face",), layout=afew_va, broken=bad_afew_va),
        Case("corpus", "ceap360vr", modalities=test_ceap360vr.ALL, layout=ceap360vr),
        Case("corpus", "mosi", modalities=test_mosi.ALL, dims=("sentiment",), layout=mosi),
        Case("reader", "face-video", crops, file=pictures, blank=black, altered=changed_pictures),
        Case("reader", "face-video", {**crops, "max_hz": 5.0}, "film", file=film),
        Case("reader", "mel-spectrogram", {"mels": 16}, altered=changed_sound, **heard),
        *(
            Case(
                "reader",
                "mel-spectrogram",
                {"mels": 16, "reference": reference, "edges": edges},
                f"{reference} {edges}",
                altered=changed_sound,
                **heard,
            )
            for reference, edges in (("running", "edge"), ("fixed", "floor"))
        ),
        Case("reader", "features", {"width": 2}, **tabled),
        Case("reader", "features", {"width": 2, "window_s": 0.5}, "window", **tabled),
        Case("reader", "features", {"width": 2, "rate_hz": 10}, "bare", file=array),
        Case("detector", "haar"),
        Case("detector", "whole", excused={"nobody": "it is told that every frame is a face"}),
        Case("detector", "boxes"),
        Case("detector", "yunet", {"model": "yunet.onnx"}, lacks="its model file, which the user brings"),
        Case("degradation", "picture"),
        Case("degradation", "picture", {"severity": [1.0, 4.0], "probability": 1.0}, "severe"),
        Case("degradation", "spectrogram"),
    ]


def _networks() -> list[Case]:
    return [
        Case("encoder", "denoising-generator", {"width": 4}, exports=True),
        Case("encoder", "patch-generator", {"width": 4}, exports=True),
        Case("encoder", "mlp", {"hidden": [6], "dropout": 0.5}, raw_shape=(7,), exports=True),
        Case("encoder", "timm", {"model": "test_resnet"}, raw_shape=(3, 32, 32)),
        Case("quadrant", "classifier", exports=True),
        Case("quadrant", "classifier", {"hidden": 6}, "hidden", latent_shape=(9,)),
        Case("quadrant", "discriminator", {"width": 4}, exports=True),
        Case("quadrant", "none"),
        Case("projector", "conv-pyramid", {"width": 4}, exports=True),
        Case("projector", "conv-pyramid", {"width": 4, "standardise": True}, "standardised", exports=True),
        Case("projector", "linear", {"dim": 6}, exports=True),
        Case("projector", "linear", {"dim": 6}, "vector", latent_shape=(9,), conditioning="vector"),
        Case("fusion", "none", in_dims={"face": 5}, exports=True),
        Case("fusion", "none", {"compact": True, "standardise": True}, "compact", in_dims={"face": 5}),
        Case("fusion", "concat", exports=True),
        Case("fusion", "concat", {"standardise": True}, "standardised"),
        Case("fusion", "attention", {"dim": 6, "score_dim": 5}, exports=True),
        Case("fusion", "gmu", {"dim": 6}, exports=True),
        Case("fusion", "gmu", {"dim": 6}, "two", in_dims={"face": 5, "voice": 3}),
        Case("fusion", "gmu", {"dim": 6, "gate": "vector", "standardise": True}, "vector"),
        Case("temporal", "none", exports=True, excused={"order-of-time": "it is what `none` means"}),
        Case("temporal", "lstm", {"dim": 6}, exports=True),
        *(
            Case(
                "temporal",
                "luong-lstm",
                {"dim": 6, "memory": 3, "score": score, "project_context": score == "dot"},
                score,
                # Eq. 10 as printed: what all scores share cancels in the softmax (its docstring says so).
                unused=("weigh.bias",) if score == "pair" else (),
                exports=score == "location",
            )
            for score in SCORES
        ),
        Case("head", "linear", exports=True),
    ]


# ---------------------------------------------------------------- recordings


def _frames(folder: Path, levels: list[int]) -> Source:
    for i, level in enumerate(levels):
        rgb = np.full((24, 32, 3), level, np.uint8)
        rgb[i : i + 6, 4:20] = min(255, 2 * level)
        assert cv2.imwrite(str(folder / f"{i:05d}.png"), rgb)
    return Source(folder, step_s=STEP_S)


def pictures(folder: Path) -> Source:
    """Numbered pictures, 10 a second."""
    return _frames(folder, [40 + 9 * i for i in range(FRAMES)])


def black(folder: Path) -> Source:
    return _frames(folder, [0] * FRAMES)


def changed_pictures(folder: Path, second: float) -> Source:
    return _frames(folder, [40 + 9 * i if i * STEP_S < second else 7 for i in range(FRAMES)])


def film(folder: Path) -> Source:
    """One second of a moving picture with a tone."""
    path = folder / "clip.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=RATE)
        for k in range(10):
            rgb = np.full((48, 64, 3), 20 * k, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        frame = av.AudioFrame.from_ndarray(_tone(1.0)[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        container.mux([*audio.encode(frame), *audio.encode(None), *video.encode(None)])
    return Source(path)


def _tone(seconds: float) -> np.ndarray:
    t = np.arange(int(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * 440 * t) * (1 + np.sin(7 * t))).astype(np.float32)


def _wave(folder: Path, samples: np.ndarray) -> Source:
    soundfile.write(folder / "sound.wav", samples, RATE, subtype="FLOAT")
    return Source(folder / "sound.wav")


def sound(folder: Path) -> Source:
    """Two seconds of a tone that swells."""
    return _wave(folder, _tone(2.0))


def silence(folder: Path) -> Source:
    return _wave(folder, np.zeros(2 * RATE, np.float32))


def changed_sound(folder: Path, second: float) -> Source:
    samples = _tone(2.0)
    after = np.arange(len(samples)) >= second * RATE
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, len(samples)).astype(np.float32)
    return _wave(folder, np.where(after, noise, samples))


def _numbers() -> np.ndarray:
    k = np.arange(2 * FRAMES)
    return np.stack([np.sin(k), 5 + np.cos(0.7 * k)], axis=1)


def _rows(folder: Path, values: np.ndarray) -> Source:
    rows = "".join(f"{k * STEP_S:.1f},{a:.6f},{b:.6f}\n" for k, (a, b) in enumerate(values))
    return Source(_file(folder / "table.csv", f"time_s,a,b\n{rows}"))


def table(folder: Path) -> Source:
    """Two columns that tell their times, 10 rows a second."""
    return _rows(folder, _numbers())


def zeros(folder: Path) -> Source:
    return _rows(folder, 0 * _numbers())


def changed_table(folder: Path, second: float) -> Source:
    after = np.arange(2 * FRAMES) * STEP_S >= second
    return _rows(folder, np.where(after[:, None], -3.0, _numbers()))


def array(folder: Path) -> Source:
    """The same numbers without their times."""
    np.save(folder / "table.npy", _numbers().astype(np.float32), allow_pickle=False)
    return Source(folder / "table.npy")


# ---------------------------------------------------------------- corpora


def _file(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def manifest(folder: Path, *rows: str) -> Mapping[str, Any]:
    for name in ("a.mp4", "b.mp4", "a.wav"):
        _file(folder / name, name)
    _file(folder / "l.csv", "time_s,valence,arousal\n0,0.1,0.2\n0.1,,0.3\n0.2,0.3,0.4\n")
    header = "clip,subject,session,split,labels,label_min,label_max,face,voice"
    all_rows = ["b,s2,,test,l.csv,-2,2,b.mp4,", "a,s1,,train,l.csv,-2,2,a.mp4,a.wav", *rows]
    return {"path": _file(folder / "manifest.csv", "\n".join([header, *all_rows]) + "\n")}


def bad_manifest(folder: Path) -> Mapping[str, Any]:
    return manifest(folder, "c,s3,,train,l.csv,-2,2,gone.mp4,")


def ravdess(folder: Path, *names: str) -> Mapping[str, Any]:
    for name in ("Actor_01/03-01-05-01-02-01-01.wav", "Actor_02/01-01-08-02-01-02-02.mp4", *names):
        _file(folder / name, name)
    return {"root": folder}


def bad_ravdess(folder: Path) -> Mapping[str, Any]:
    return ravdess(folder, "Actor_03/03-01-99-01-02-01-03.wav")


def _rated(folder: Path, frames: int = 10) -> None:
    for dim in ("valence", "arousal"):
        rows = "\n".join(f"{i},{0.05 * i}" for i in range(frames))
        _file(folder / dim / f"{folder.name}_{dim.capitalize()}_A_Aligned.csv", f"frame,value\n{rows}\n")


def _small_film(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for i in range(10):
            rgb = np.full((32, 32, 3), 20 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())


def sewa(folder: Path) -> Mapping[str, Any]:
    for number in (1, 2):
        clip = folder / f"SEW{number}"
        _small_film(clip / f"{clip.name}.avi")
        _rated(clip)
        _file(clip / "metadata.ini", f"[Recording]\nSession_Number = {number}\nSubject ID = {number}\n")
    return {"root": folder}


def bad_sewa(folder: Path) -> Mapping[str, Any]:
    _small_film(folder / "SEW3" / "SEW3.avi")
    _file(folder / "SEW3" / "metadata.ini", "[Recording]\nSession_Number = 3\nSubject ID = 3\n")
    return sewa(folder)


def semaine(folder: Path, *, traces: tuple[int, ...] = (1, 2)) -> Mapping[str, Any]:
    for number in (1, 2):
        session = folder / "Sessions" / str(number)
        _file(
            session / "session.xml",
            f'<session sessionId="{number}" recording="{number}" character="Poppy">'
            f'<subject role="Operator" id="9"/><subject id="{number}" role="User"/></session>',
        )
        _small_film(session / "2008.12.05.16.03.15_User Frontal_Poppy.avi")
        for rater in (1, 2) if number in traces else ():
            for dim in "VA":
                rows = "\n".join(f"{0.02 * i:.2f} {0.1 * rater:.2f}" for i in range(50))
                _file(session / f"R{rater}S{number}TUCPoD{dim}.txt", f"{rows}\n")
    return {"root": folder}


def bad_semaine(folder: Path) -> Mapping[str, Any]:
    return semaine(folder, traces=(1,))


def afew_va(folder: Path) -> Mapping[str, Any]:
    face = [[10 + i % 10, 8 + i // 10] for i in range(68)]
    for name, actor in (("001", "Ann"), ("002", "Ben")):
        (folder / name).mkdir()
        for i in range(3):
            assert cv2.imwrite(str(folder / name / f"{i:05d}.png"), np.full((24, 32, 3), 40 + i, np.uint8))
        frames = {f"{i:05d}": {"valence": i, "arousal": -i, "landmarks": face} for i in range(3)}
        content = {"video_id": name, "actor": actor, "frames": frames}
        _file(folder / name / f"{name}.json", json.dumps(content))
    return {"root": folder}


def bad_afew_va(folder: Path) -> Mapping[str, Any]:
    _file(folder / "003" / "00000.png")
    return afew_va(folder)


def ceap360vr(folder: Path) -> Mapping[str, Any]:
    return {"root": test_ceap360vr.look_alike(folder / "ceap")}


def mosi(folder: Path) -> Mapping[str, Any]:
    return {"root": test_mosi.look_alike(folder)}
