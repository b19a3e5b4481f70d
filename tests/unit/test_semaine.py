"""SEMAINE adapter, on look-alikes of its folders: known traces, names with blanks, people who recur."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from fusekit.contracts import Clip
from fusekit.data.corpora.semaine import SemaineCorpus
from fusekit.data.folds import assign
from fusekit.data.gold import Trace, gold, together
from fusekit.data.labels import align
from fusekit.errors import DataError, RecipeError

VA = ("valence", "arousal")
STEP = 0.02
HEAD = "2008.12.05.16.03.15"


def trace(folder: Path, name: str, values: Iterable[Any], start: float = 0.0, end: str = "") -> Path:
    """Rows `seconds value`, one per 0.02 s."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{start + i * STEP:.2f} {v}" for i, v in enumerate(values)]
    path = folder / name
    path.write_text("\n".join(rows) + "\n" + end)
    return path


def sound(path: Path, seconds: float = 1.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.sin(np.arange(int(seconds * 8000)) / 9) * 0.1, 8000)


def film(path: Path, frames: int = 10, rate: int = 50) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 20 * i % 255, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def xml(folder: Path, user: str, operator: str, recording: int = 1, character: str = "Poppy") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # The operator first: which child is whom is told by its role alone.
    (folder / "session.xml").write_text(
        f'<session sessionId="{folder.name}" recording="{recording}" character="{character}">'
        f'<subject role="Operator" id="{operator}"/><subject id="{user}" role="User"/>'
        '<track filename="a.wav"/></session>'
    )


def session(
    root: Path, number: int, user: str, operator: str, sides: str = "U", raters: int = 2, recording: int = 1
) -> Path:
    """A whole session: both media of each side, `raters` constant traces of valence and arousal."""
    folder = root / "Sessions" / str(number)
    xml(folder, user, operator, recording)
    for side in sides:
        for r in range(1, raters + 1):
            for dim in "VA":
                trace(folder, f"R{r}S{recording}T{side}CPoD{dim}.txt", [0.1 * r] * 50)
    for role in ("User", "Operator"):
        sound(folder / f"{HEAD}_{role} HeadMounted_Poppy.wav")
        film(folder / f"{HEAD}_{role} Frontal_Poppy.avi")
    return folder


def load(
    root: Path, modalities: tuple[str, ...] = ("face", "voice"), dims: tuple[str, ...] = VA, **options: Any
) -> tuple[SemaineCorpus, dict[str, Clip], list[tuple[str, str]]]:
    corpus = SemaineCorpus(root=root, **options)
    clips, rejected = corpus.load(modalities, dims)
    return corpus, {c.id: c for c in clips}, [(r.where, r.reason) for r in rejected]


# ---------------------------------------------------------------- gold standard


def test_ewe_by_hand() -> None:
    # Deviations: a (-1, 0, 1), b (-1, 0, 1), c (1, -2, 1). Others' means: of a (0, -1, 1), of b the same,
    # of c (-1, 0, 1). r_a = (0 + 0 + 1) / sqrt(2 * 2) = 0.5 = r_b, r_c = 0.
    values = np.array([[0.0, 0.0, 1.0], [1.0, 1.0, -2.0], [2.0, 2.0, 1.0]])
    made = gold(values, "ewe")
    np.testing.assert_allclose(made.weights, [0.5, 0.5, 0], atol=1e-12)
    np.testing.assert_allclose(made.values, [0, 1, 2], atol=1e-12)
    np.testing.assert_allclose(gold(values, "mean").values, [1 / 3, 0, 5 / 3])


def test_ewe_weights_differ_and_rate_noise_down() -> None:
    # x = y = (-1, 0, 1), z = (0, 0, 1). x against (y + z) / 2, deviations (-4, -1, 5) / 6: 3/2 over the root
    # of 2 * 7/6. z, deviations (-1, -1, 2) / 3, against (x + y) / 2 = x: 1 over the root of 2 * 2/3.
    made = gold(np.array([[-1.0, -1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]), "ewe")
    x, z = 1.5 / np.sqrt(7 / 3), np.sqrt(3) / 2
    np.testing.assert_allclose(made.weights, np.array([x, x, z]) / (2 * x + z))
    np.testing.assert_allclose(made.values, [-2 * x / (2 * x + z), 0, 1], atol=1e-12)
    rng = np.random.default_rng(0)
    truth = np.sin(np.linspace(0, 9, 500))
    noisy = np.stack([truth + s * rng.standard_normal(500) for s in (0.1, 0.3, 2.0)], 1)
    made = gold(noisy, "ewe")
    assert made.weights[0] > made.weights[1] > made.weights[2] > 0
    others = [np.delete(noisy, r, 1).mean(1) for r in range(3)]
    weights = np.array([np.corrcoef(noisy[:, r], others[r])[0, 1] for r in range(3)])
    np.testing.assert_allclose(made.weights, weights / weights.sum())
    np.testing.assert_allclose(made.values, noisy @ weights / weights.sum())
    error = [np.abs(gold(noisy, how).values - truth).mean() for how in ("ewe", "mean")]
    assert error[0] < error[1]


def test_gold_of_gaps_constants_and_quarrels() -> None:
    nan = np.nan
    made = gold(np.array([[1.0, 3.0], [nan, 2.0], [nan, nan], [2.0, 4.0]]), "mean")
    np.testing.assert_allclose(made.values, [2, 2, nan, 3])
    constant = gold(np.array([[0.1, 0.0, 0.1], [0.1, 1.0, 1.1], [0.1, 2.0, 2.1]]), "ewe")
    np.testing.assert_allclose(constant.weights, [0, 0.5, 0.5])
    quarrel = gold(np.array([[0.0, 1.0], [1.0, 0.0]]), "ewe")
    assert not quarrel.agree
    np.testing.assert_allclose(quarrel.values, [0.5, 0.5])
    assert gold(np.array([[3.0], [4.0]]), "ewe").values.tolist() == [3, 4]


def test_traces_are_joined_by_time() -> None:
    a = Trace("a", np.array([0.0, 0.02, 0.04, 0.06, 0.08]), np.arange(5.0))
    b = Trace("b", np.array([0.02, 0.04, 0.08, 0.1]), np.arange(10.0, 14.0))  # 0.06 is missing
    times, values = together([a, b])
    np.testing.assert_allclose(times, [0.02, 0.04, 0.06, 0.08])
    np.testing.assert_allclose(values, [[1, 10], [2, 11], [3, np.nan], [4, 12]])
    assert len(together([a, Trace("c", np.array([1.0, 1.02]), np.zeros(2))])[0]) == 0


# ---------------------------------------------------------------- layout


def test_a_session_gives_user_and_operator_with_exact_means_and_times(tmp_path: Path) -> None:
    folder = tmp_path / "Sessions" / "2"
    xml(folder, "7", "9")
    trace(folder, "R1S1TUCPoDV.txt", [0.1, 0.2, 0.3, 0.4], start=0.02)
    trace(folder, "r2s1tucpodv.TXT", [0.3, 0.4, 0.5, 0.6], start=0.02, end="\n   \n\n")
    trace(folder, "A3S1TUCPoDV.txt", [0.2, 0.6, 0.4, 0.9, 0.9], start=0.02)
    trace(folder, "R1R1TUCPoDA.txt", [-1, -0.5, 0, 0], start=0.02)
    trace(folder, "R2S1TUCPoDA.txt", [-1, 0.5, 1, 1], start=0.02)
    trace(folder, "R1S1TUCPoDFr.txt", [1, 1])  # a basic emotion, nobody asks for it
    (folder / "alignedTranscript_2.txt").write_text("no trace")
    for dim in "VA":
        trace(folder, f"R1S1TOCPoD{dim}.txt", [0.5, 0.5])
        trace(folder, f"R2S1TOCPoD{dim}.txt", [-0.5, -0.1])
    for role in ("User", "Operator"):
        sound(folder / f"{HEAD}_{role} HeadMounted_Poppy.wav")
        sound(folder / f"{HEAD}_{role} Farfield_Poppy.wav")
        film(folder / f"{HEAD}_{role} Frontal_Poppy.avi")
    corpus, clips, rejected = load(tmp_path)
    assert list(clips) == ["2-TU", "2-TO"]
    assert rejected == []
    user = clips["2-TU"]
    assert user.subject == "person-7"
    assert clips["2-TO"].subject == "person-9"
    np.testing.assert_allclose(
        user.labels.values, [[0.2, -1], [0.4, 0], [0.4, 0.5], [1.9 / 3, 0.5]], atol=1e-6
    )
    np.testing.assert_allclose(user.labels.times, [0.02, 0.04, 0.06, 0.08])
    np.testing.assert_allclose(user.labels.extra["valence_A3"], [0.2, 0.6, 0.4, 0.9])
    assert user.session == clips["2-TO"].session == "group-of-session-2"
    assert user.sources["voice"].path.name == f"{HEAD}_User HeadMounted_Poppy.wav"
    assert clips["2-TO"].sources["face"].path.name == f"{HEAD}_Operator Frontal_Poppy.avi"
    np.testing.assert_allclose(clips["2-TO"].labels.values, [[0, 0], [0.2, 0.2]], atol=1e-7)
    np.testing.assert_allclose(clips["2-TO"].labels.times, [0, 0.02])
    assert "original folders: 2 clips of 1 sessions" in corpus.describe()
    assert "50 frames/s" in corpus.describe()
    assert corpus.label_range == (-1, 1)


def test_raters_of_different_length_end_together(tmp_path: Path) -> None:
    folder = session(tmp_path, 1, "a", "b")
    n = 100
    for name, count in (
        ("R1S1TUCPoDV", n),
        ("R2S1TUCPoDV", n - 3),
        ("R1S1TUCPoDA", n - 1),
        ("R2S1TUCPoDA", n),
    ):
        trace(folder, f"{name}.txt", np.linspace(0, 1, n)[:count], end="\n\n")
    _, clips, rejected = load(tmp_path)
    labels = clips["1-TU"].labels
    assert rejected == []
    np.testing.assert_allclose(labels.times, np.arange(n - 3) * STEP)
    np.testing.assert_allclose(labels.values[:, 0], np.linspace(0, 1, n)[: n - 3], atol=1e-6)
    assert set(labels.extra) == {"valence_R1", "valence_R2", "arousal_R1", "arousal_R2"}
    # One that was broken off is left out, or it would end all labels there; a longer cut is told.
    trace(folder, "R3S1TUCPoDV.txt", [0.9] * 20)
    trace(folder, "R4S1TUCPoDV.txt", [0.5] * 150)
    _, clips, rejected = load(tmp_path)
    assert "valence_R3" not in clips["1-TU"].labels.extra
    assert len(clips["1-TU"].labels.times) == n - 3
    assert [w for w, _ in rejected] == ["1-TU valence of R3", "1-TU"]
    assert "broken off: it lasts 0.38 s" in rejected[0][1]
    assert "labels from 1.92 s to 2.98 s, where not all raters go on" in rejected[1][1]


def test_ewe_is_an_option_of_the_adapter(tmp_path: Path) -> None:
    folder = session(tmp_path, 1, "a", "b")
    for dim in "VA":
        trace(folder, f"R1S1TUCPoD{dim}.txt", [0.0, 0.1, 0.2])
        trace(folder, f"R2S1TUCPoD{dim}.txt", [0.0, 0.1, 0.2])
        trace(folder, f"R3S1TUCPoD{dim}.txt", [0.1, -0.2, 0.1])
    corpus, clips, _ = load(tmp_path, gold="ewe")
    np.testing.assert_allclose(clips["1-TU"].labels.values[:, 0], [0, 0.1, 0.2], atol=1e-7)
    assert "EWE of the raters" in corpus.describe()
    np.testing.assert_allclose(load(tmp_path)[1]["1-TU"].labels.values[:, 0], [1 / 30, 0, 1 / 6], atol=1e-7)
    for dim in "VA":
        (folder / f"R3S1TUCPoD{dim}.txt").unlink()
        trace(folder, f"R2S1TUCPoD{dim}.txt", [0.2, 0.1, 0.0])
    corpus, clips, _ = load(tmp_path, gold="ewe")
    assert "1-TU: no two raters of valence agree, so their mean stands in" in corpus.describe()


def test_what_is_no_label_never_counts(tmp_path: Path) -> None:
    folder = session(tmp_path, 1, "a", "b")
    trace(folder, "R1S1TUCPoDV.txt", [0.1, "NaN", -5, 0.3, 0.5])
    trace(folder, "R2S1TUCPoDV.txt", [0.3, 0.2, -5, "?", 0.7], end="0.1\n0.06 0.9\n0.12 0.1 0.1\n")
    for rater in (1, 2):
        trace(folder, f"R{rater}S1TUCPoDA.txt", [0, 0, 0, 0, 0])
    _, clips, rejected = load(tmp_path)
    labels = clips["1-TU"].labels
    np.testing.assert_allclose(labels.values[:, 0], [0.2, 0.2, np.nan, 0.3, 0.6], atol=1e-6)
    np.testing.assert_allclose(labels.times, np.arange(5) * STEP)
    reasons = dict(rejected)
    assert reasons["1/R1S1TUCPoDV.txt"] == "1 rows have no number for a value; 1 rows are outside -1..1"
    assert reasons["1/R2S1TUCPoDV.txt"].startswith("3 rows are cut short")
    assert align(labels, labels.times, VA, (-1, 1)).known[:, 0].tolist() == [True, True, False, True, True]


def test_second_takes_strays_and_doubts(tmp_path: Path) -> None:
    folder = session(tmp_path, 3, "a", "b", recording=2)
    trace(folder, "R1S2TUCPo2DV.txt", [0.9] * 50)
    trace(folder, "R5S2TUCPo2DV.txt", [0.6] * 50)
    trace(folder, "R6S4TUCPoDV.txt", [0.9] * 50)
    _, clips, rejected = load(tmp_path)
    np.testing.assert_allclose(clips["3-TU"].labels.values[:, 0], 0.3, atol=1e-6)  # of .1, .2, .6
    assert dict(rejected) == {
        "3/R6S4TUCPoDV.txt": "it is named for recording 4, this session is of 2",
        "3/R1S2TUCPo2DV.txt": "another take of R1S2TUCPoDV.txt, which is used",
    }
    xml(folder, "a", "b", recording=8)
    corpus, clips, _ = load(tmp_path)
    assert "session 3: traces named for recordings 2, 4" in corpus.describe()
    (folder / "R6S4TUCPoDV.txt").unlink()
    assert "traces named for recording 2, not 8" in (c := load(tmp_path))[0].describe()
    assert list(c[1]) == ["3-TU"]


def test_sessions_are_in_order_of_number(tmp_path: Path) -> None:
    for number in (10, 9, 100, 1):
        session(tmp_path, number, f"u{number}", f"o{number}", sides="UO")
    expected = [f"{n}-{side}" for n in (1, 9, 10, 100) for side in ("TU", "TO")]
    assert list(load(tmp_path)[1]) == expected
    assert list(load(tmp_path / "Sessions")[1]) == expected


@pytest.mark.parametrize("sides", ["U", "UO"])
def test_partners_and_recurring_people_are_never_divided(tmp_path: Path, sides: str) -> None:
    # Who met whom: operators recur, b is a user once and an operator twice.
    pairs = {1: "ab", 2: "cb", 3: "bd", 4: "ef", 5: "ef", 6: "gh", 7: "ij", 8: "kl", 9: "mn", 10: "op"}
    for number, (user, operator) in pairs.items():
        session(tmp_path, number, user, operator, sides=sides)
    corpus, clips, _ = load(tmp_path)
    people = {clip_id: set(pairs[int(clip_id.split("-")[0])]) for clip_id in clips}
    for fold in range(5):
        split = assign(list(clips.values()), folds=5, fold=fold)
        part = {clip_id: name for name in ("train", "validation", "test") for clip_id in split.part(name)}
        assert all(part[a] == part[b] for a in clips for b in clips if people[a] & people[b])
    assert "groups that stay together: 7" in corpus.describe()
    alone = load(tmp_path, keep_together="session")[1]
    assert {c.session for c in alone.values()} == {f"session-{n}" for n in pairs}
    split = assign(list(alone.values()), folds=3)
    part = {clip_id: name for name in ("train", "validation", "test") for clip_id in split.part(name)}
    assert all(part[a] == part[b] for a in alone for b in alone if a.split("-")[0] == b.split("-")[0])


def test_unknown_people_stay_together(tmp_path: Path) -> None:
    for number in range(1, 9):
        session(tmp_path, number, f"u{number}", f"o{number}")
    base = tmp_path / "Sessions"
    (base / "2/session.xml").unlink()
    (base / "3/session.xml").write_text("<session")
    (base / "4/session.xml").write_text('<session recording="1"><subject role="User" id="u5"/></session>')
    (base / "6/session.xml").write_text(
        "<session><Subject><ID>u6</ID><Role>user</Role></Subject>"
        "<Subject><Role>operator</Role><ID>o6</ID></Subject></session>"
    )
    corpus, clips, _ = load(tmp_path)
    # u5 takes part in session 4, whose operator is unknown.
    assert {i for i, c in clips.items() if c.session == "people-unknown"} == {"2-TU", "3-TU", "4-TU", "5-TU"}
    assert (clips["2-TU"].subject, clips["6-TU"].subject) == ("user-of-session-2", "person-u6")
    assert "people unknown in 3 sessions, first 2 (no session.xml)" in corpus.describe()
    for fold in range(3):
        split = assign(list(clips.values()), folds=3, fold=fold)
        for name in ("train", "validation", "test"):
            assert len({"2-TU", "3-TU", "4-TU", "5-TU"} & set(split.part(name))) in (0, 4)


def test_every_reason_to_leave_something_out(tmp_path: Path) -> None:
    base = tmp_path / "Sessions"
    session(tmp_path, 1, "a", "b", sides="UO")
    session(tmp_path, 2, "c", "d", raters=1)
    xml(base / "3", "e", "f", character="Beginning")
    session(tmp_path, 4, "g", "h", sides="")
    session(tmp_path, 12, "i", "j").rename(base / "12_NA")
    unheard = session(tmp_path, 5, "k", "l")
    (unheard / f"{HEAD}_User HeadMounted_Poppy.wav").unlink()
    (unheard / f"{HEAD}_User Frontal_Poppy.avi").write_bytes(b"")
    double = session(tmp_path, 6, "m", "n")
    film(double / f"{HEAD}_User Profile_Poppy.avi")
    apart = session(tmp_path, 7, "o", "p")
    for dim in "VA":
        trace(apart, f"R2S1TUCPoD{dim}.txt", [0.1] * 50, start=5.0)
    empty = session(tmp_path, 8, "q", "r")
    (empty / "R1S1TUCPoDV.txt").write_text("\n\n")
    session(tmp_path, 1, "a", "b")
    (base / "01").mkdir()
    (base / "readme.txt").write_text("no folder")
    corpus, clips, rejected = load(tmp_path, people="user")
    assert list(clips) == ["1-TU", "6-TU"]
    assert set(clips["6-TU"].sources) == {"voice"}
    reasons = dict(rejected)
    expected = {
        "1-TO": "the operator's traces, corpus.people asks for the user",
        "01": "a second folder of session 1",
        "2-TU": "valence is traced by R1; a gold standard needs 2 or more",
        "session 3 (Beginning)": "no FeelTrace file",
        "session 4 (Poppy)": "no FeelTrace file",
        "12_NA": "no session number",
        "5-TU": "User Frontal_Poppy.avi is empty (zero bytes); no voice: no sound file is named for the user",
        "6-TU": "it goes on with voice, no face: 2 videos of the user",
        "7-TU": "share no stretch of time",
        "8/R1S1TUCPoDV.txt": "it holds no label",
        "8-TU": "valence is traced by R2",
    }
    assert {w: t for w, t in expected.items() if t not in reasons.get(w, "")} == {}
    assert set(reasons) == set(expected)
    assert f"{len(rejected)} files, sessions or stretches not used" in corpus.describe()
    _, clips, _ = load(tmp_path, camera="frontal")
    assert clips["6-TU"].sources["face"].path.name == f"{HEAD}_User Frontal_Poppy.avi"


def test_other_dimensions_and_none(tmp_path: Path) -> None:
    folder = session(tmp_path, 1, "a", "b")
    for rater in (1, 2):
        trace(folder, f"R{rater}S1TUCPoDP.txt", [0.4] * 50)
    assert load(tmp_path, dims=("power",))[1]["1-TU"].labels.dims == ("power",)
    assert load(tmp_path, dims=())[1]["1-TU"].labels is None


def repack(root: Path) -> None:
    (root / "TrainingInput/1").mkdir(parents=True)
    (root / "TrainingInput/1/TU_VA.csv").write_text("Time,Arousal,Valence\n0,0,0\n")


def prepared(root: Path) -> None:
    (root / "clip/annot2").mkdir(parents=True)
    (root / "clip/annot2/0.aro").write_text("0 0")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (repack, r"one lab's re-pack .* or describe the copy by a manifest"),
        (prepared, "prepared for AViGaS"),
        (lambda root: None, r"no clip of SEMAINE can be used. Expected: Sessions/1/session.xml"),
    ],
)
def test_other_copies_are_named(tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
    make(tmp_path)
    with pytest.raises(DataError, match=said):
        SemaineCorpus(root=tmp_path).load(("voice",), VA)


def test_requests_that_cannot_be_met(tmp_path: Path) -> None:
    corpus = SemaineCorpus(root=tmp_path)
    with pytest.raises(DataError, match="no 'ecg': set modalities.ecg.source"):
        corpus.load(("ecg",), VA)
    with pytest.raises(DataError, match="no 'liking': set target.dims"):
        corpus.load(("face",), ("liking",))
    with pytest.raises(DataError, match="set corpus.root"):
        SemaineCorpus(root=tmp_path / "gone").load(("face",), VA)
    for key in ("gold", "people", "keep_together"):
        options: dict[str, Any] = {key: "some"}
        with pytest.raises(RecipeError, match=f"semaine: {key} is one of"):
            SemaineCorpus(root=tmp_path, **options)


def test_a_damaged_film_is_said(tmp_path: Path) -> None:
    folder = session(tmp_path, 1, "a", "b")
    (folder / f"{HEAD}_User Frontal_Poppy.avi").write_bytes(b"no film")
    assert "User Frontal_Poppy.avi cannot be read" in load(tmp_path)[0].describe()
