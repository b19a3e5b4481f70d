"""The HTML report: everything in one file, right numbers, no request; opened in a real browser."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusekit.engine.metrics import per_clip, scores
from fusekit.errors import RunError
from fusekit.study.figures import draw_run
from fusekit.study.report import write_report
from fusekit.study.report_traces import MAX_POINTS, trace_data
from fusekit.study.table import write_table

DIMS = ("valence", "arousal")
NAME = '<script>alert("x")</script>'
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)


def predictions(clips: int = 3, seconds: float = 60.0, hz: float = 12.5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    time = np.arange(0, seconds, 1 / hz)
    pieces = []
    for i in range(clips):
        truth = np.stack([0.8 * np.sin(time / 6 + i), 0.6 * np.cos(time / 4 + i) - 0.1], 1)
        said = 0.8 * truth + 0.1 * np.convolve(rng.normal(size=len(time)), np.ones(9) / 3, "same")[:, None]
        face, voice = ((time % 20 > 5) & (time % 20 < 9)), ((time % 20 > 12) & (time % 20 < 16))
        strength = 1 + (time // 20).astype(int) % 3
        gate = 1 / (1 + np.exp(-(0.2 + strength * (1.0 * voice - face) + 0.3 * rng.normal(size=len(time)))))
        attention = rng.dirichlet(np.arange(1, 9) * 3, size=len(time))
        pieces.append(
            {
                "clip": np.full(len(time), f"{i:03d}"),
                "subject": np.full(len(time), f"s{i}"),
                "time_s": time,
                **{dim: said[:, k] for k, dim in enumerate(DIMS)},
                **{f"{dim}_true": truth[:, k] for k, dim in enumerate(DIMS)},
                "gate_face": gate,
                "gate_voice": 1 - gate,
                **{f"attention_{k + 1}": attention[:, k] for k in range(8)},
                "present_face": np.where((time > 17) & (time < 18.5), 0, 1),
                "present_voice": np.ones(len(time)),
                "split": np.full(len(time), "test" if i else "validation"),
                "face_damage": np.where(face, strength, 0),
                "face_kind": np.where(face, "blur", ""),
                "voice_damage": np.where(voice, strength, 0),
                "voice_kind": np.where(voice, "</script>" if i else "hum", ""),
            }
        )
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def fake_run(folder: Path, *, test: bool = True, **changes: Any) -> Path:
    """A run directory as training and evaluation leave it, without any of both."""
    table = predictions()
    if not test:
        table = {k: v[table["split"] == "validation"] for k, v in table.items()}
    write_table(folder / "predictions.csv", table)
    metrics: dict[str, Any] = {
        "recipe": NAME,
        "corpus": "demo (synthetic, seed 0)",
        "seed": 0,
        "split": "18 train, 6 validation, 6 test subjects",
        "subject_dependent": False,
        "pooling": "all steps of all clips together",
        "ddof": 0,
        "range": [-1, 1],
        "label_range": [-1, 1],
        "states": "last",
        "steps": 8,
        "also": {},
        "baselines": {"ridge": {}, "constant": {}},
    }
    for part in ("validation", "test") if test else ("validation",):
        rows = table["split"] == part
        p, y = (np.stack([table[dim + end][rows] for dim in DIMS], 1) for end in ("", "_true"))
        known = np.ones(p.shape, bool)
        metrics[part] = {**scores(p, y, known, DIMS), "n": len(p), "clips": 2, "subjects": 2}
        metrics["also"][f"{part}_per_clip"] = per_clip(p, y, known, table["clip"][rows], DIMS)
        metrics["also"][f"{part}_carry"] = scores(0.9 * p, y, known, DIMS)
        metrics["baselines"]["ridge"][part] = scores(0.3 * p + 0.1, y, known, DIMS)
        nothing = dict.fromkeys((*DIMS, "mean"))
        metrics["baselines"]["constant"][part] = {
            "rmse": {**nothing, "mean": 0.5}, "cor": nothing, "ccc": nothing, "icc": nothing,
        }  # fmt: skip
    if test:
        metrics["test"]["gate"] = {"auc_by_strength": {"1": 0.81, "3": 0.97}, "auc_unseen": 0.76}
        metrics["test"]["clip_quadrant"] = {
            "accuracy": 0.5, "uar": 0.48, "n": 60, "permutation_p": 0.0123, "chance": 0.25,
        }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(metrics | changes))
    (folder / "recipe.yaml").write_text("corpus: {name: demo}\n# a comment </pre>\n")
    (folder / "provenance.json").write_text(json.dumps({"code": {"remote": "https://example.org/x.git"}}))
    (folder / "looks.json").write_text(json.dumps([{"time": "2026-11-22T16:00:00+00:00"}]))
    entry = {"stage": "latent", "phase": "latent/face", "window": 1, "train": {"p": 1.0, "d_affect": 0.5}}
    lines = [
        {**entry, "epoch": e, "validation": {"ccc": {"valence": e / 9, "arousal": e / 12, "mean": e / 10}}}
        for e in range(1, 8)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "figures").mkdir()
    return folder


def picture(path: Path) -> bytes:
    data = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
    )
    path.write_bytes(data)
    return data


def outside_scripts(page: str) -> str:
    return re.sub(r"<script.*?</script>", "", page, flags=re.S)


def test_denoising_is_told_by_kind_and_where_it_does_not_denoise(tmp_path: Path) -> None:
    run = fake_run(tmp_path)
    metrics = json.loads((run / "metrics.json").read_text())
    noise = {"degraded": 0.1, "denoised": 0.08, "rows": 40}
    blur = {"degraded": 0.06, "denoised": 0.06, "rows": 41}
    face = {"degraded": 0.145, "denoised": 0.116, "rows": 81, "clean": 0.011}
    metrics["test"]["denoising"] = {"face": {**face, "by_kind": {"blur": blur, "noise": noise}}}
    worse = {"degraded": 0.12, "denoised": 0.21, "rows": 9, "clean": 0.2, "by_kind": {}}
    metrics["validation"]["denoising"] = {"voice": worse}
    (run / "metrics.json").write_text(json.dumps(metrics))
    text = outside_scripts(write_report(run).read_text())
    assert (
        "Denoising of face on test, mean |error| against the clean inputs on −1..1 over 81 degraded ones: "
        "0.145 → 0.116; by kind: blur 0.060 → 0.060 (does not denoise), noise 0.100 → 0.080. "
        "Clean inputs come back within 0.011."
    ) in text
    assert "Denoising of voice on validation" in text
    assert "0.120 → 0.210 (does not denoise). Clean inputs come back within 0.200." in text


def test_one_file_with_the_right_numbers(tmp_path: Path) -> None:
    run = fake_run(tmp_path)
    data = picture(run / "figures" / "denoising.png")
    picture(run / "figures" / "traces_000.png")
    path = write_report(run)
    assert path == run / "report.html"
    page = path.read_text()
    text = outside_scripts(page)
    metrics = json.loads((run / "metrics.json").read_text())
    for part in ("test", "validation"):
        for metric in ("ccc", "rmse", "cor", "icc"):
            for dim in (*DIMS, "mean"):
                assert f">{metrics[part][metric][dim]:.3f}<" in text.replace("−", "-")
    assert f"{metrics['baselines']['ridge']['test']['ccc']['mean']:.3f}" in text
    assert f'<p class="value">{metrics["test"]["ccc"]["mean"]:.3f}</p>' in text
    for word in (
        "all steps of all clips together",
        "ddof 0",
        "No subject of the scored clips",
        "last 8 steps",
    ):
        assert word in text
    assert "0.970 at strength 3; 0.760 on kinds" in text
    assert "UAR 0.480" in text
    assert "p = 0.0123" in text
    assert base64.b64encode(data).decode() in text
    assert text.count("<img") == 1
    assert page.count("plotly.js v") == 1


def test_nothing_is_fetched(tmp_path: Path) -> None:
    page = write_report(fake_run(tmp_path)).read_text()
    assert "default-src 'none'" in page
    text = outside_scripts(page)
    assert not re.search(r"<(link|iframe|object|embed|base|form)\b|@import|url\(", text)
    assert not re.search(r"\b(src|href|action)\s*=\s*[\"']?(?!data:)", text)
    assert "<script src" not in page


def test_what_a_run_says_cannot_break_out(tmp_path: Path) -> None:
    page = write_report(fake_run(tmp_path)).read_text()
    assert NAME not in page
    assert html.escape(NAME, quote=False) in page.replace("&#34;", '"')
    assert "# a comment &lt;/pre&gt;" in page
    assert page.count("</script>") == 3
    data = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, flags=re.S)
    assert "damage 1 (</script>)" in data[1].replace("<\\/", "</")
    assert len(json.loads(data[1])["clips"]) == 3


HOSTILE = ["<!--<script>", "</script><h1>", "=HYPERLINK(1)", "a$b$\\frac{", "[/bold]x", "\x1b[31mred\u202e"]


def hostile_run(folder: Path) -> Path:
    """A run whose clips, and what damaged them, have names that end scripts, tables and pictures."""
    run = fake_run(folder)
    table = predictions(clips=len(HOSTILE), seconds=8)
    number = table["clip"].astype(int)
    table["clip"] = np.array(HOSTILE)[number]
    table["face_kind"] = np.where(table["face_kind"] == "blur", table["clip"], "")
    write_table(run / "predictions.csv", table)
    return run


def test_names_of_clips_cannot_break_out(tmp_path: Path) -> None:
    run = hostile_run(tmp_path)
    drawn = [path.name for path in draw_run(run) if path.name.startswith("traces_")]
    assert len(drawn) == len(set(drawn)) == len(HOSTILE) - 1  # the first is no test clip
    page = write_report(run).read_text()
    assert "<!--" not in page.partition('<script id="data"')[2]
    data = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, flags=re.S)
    labels = [clip["label"] for clip in json.loads(data[1])["clips"]]
    assert labels[-1] == "<!--<script> (s0, validation)"
    assert labels[4] == r"\x1b[31mred\u202e (s5, test)"


def test_validation_alone_subject_dependent_and_shuffled(tmp_path: Path) -> None:
    page = write_report(
        fake_run(tmp_path, test=False, subject_dependent=True, shuffled_labels=True)
    ).read_text()
    text = outside_scripts(page)
    assert "mean CCC, validation" in text
    assert "Subject-dependent split" in text
    assert "the same people are in training" in text
    assert "labels were shuffled" in text


def test_without_predictions_there_is_no_plotly(tmp_path: Path) -> None:
    run = fake_run(tmp_path)
    (run / "predictions.csv").unlink()
    page = write_report(run).read_text()
    assert "<script" not in page
    assert len(page) < 100_000


def test_faults_name_the_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run"):
        write_report(tmp_path)
    run = fake_run(tmp_path)
    (run / "metrics.json").write_text('{"validation"')
    with pytest.raises(RunError, match="cannot be read"):
        write_report(run)
    (run / "metrics.json").unlink()
    with pytest.raises(RunError, match="--resume"):
        write_report(run)


def test_trace_data_is_packed_in_order_and_thinned() -> None:
    table = predictions(clips=2, seconds=900, hz=12.5)
    data = trace_data(table)
    assert [clip["label"] for clip in data["clips"]] == ["001 (s1, test)", "000 (s0, validation)"]
    assert data["gates_sum_to_one"]
    assert data["thinned"]
    clip = data["clips"][0]
    time = np.frombuffer(base64.b64decode(clip["time"]), "<f4")
    assert len(time) == len(table["time_s"]) / 2 / 3 <= MAX_POINTS
    assert time[1] == pytest.approx(3 / 12.5)
    weights = np.frombuffer(base64.b64decode(clip["attention"]), np.uint8).reshape(8, -1)
    own = {k: v[table["clip"] == "001"] for k, v in table.items()}
    assert weights[7, 10] / 255 == pytest.approx(own["attention_8"][30], abs=0.002)
    face = next(band for band in clip["bands"] if band["name"] == "face")["stretches"]
    for s in face[:5]:
        inside = time[s["first"] : s["last"]]
        assert s["from"] - 1e-4 <= inside[0]
        assert inside[-1] < s["to"]
    assert {s["text"] for s in face} == {"damage 1 (blur)", "damage 2 (blur)", "damage 3 (blur)", "absent"}


# Clicks through the page as a reader would, and leaves what it saw in the title.
CLICKS = """<script>
addEventListener("load", async () => {
  const seen = [document.querySelectorAll("#clip option").length];
  const plot = document.getElementById("trace");
  const shown = () => Array.from(plot.data[0].y.slice(0, 9)).join();
  const first = shown();
  document.getElementById("next").click();
  await new Promise((r) => setTimeout(r, 300));
  const select = document.getElementById("clip");
  seen.push(select.selectedIndex, shown() !== first);
  select.selectedIndex = 2;
  select.dispatchEvent(new Event("change"));
  await new Promise((r) => setTimeout(r, 300));
  seen.push(document.getElementById("clip-scores").textContent.includes("valence 0."));
  Plotly.Fx.hover(plot, { xval: 7 }, ["xy"]);
  await new Promise((r) => setTimeout(r, 300));
  const words = plot.querySelector(".hoverlayer").textContent;
  const expected = ["valence, truth", "arousal, prediction", "gate voice", "damage 1 (blur)", "old to new"];
  seen.push(expected.every((word) => words.includes(word)) || words);
  seen.push(document.documentElement.scrollWidth <= innerWidth);
  document.title = "seen " + seen.join(" ");
});
</script></body>"""


def browse(page: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--hide-scrollbars", f"--user-data-dir={folder}", "--enable-logging=stderr",
        "--virtual-time-budget=10000", *more, page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("size", ["1280,900", "500,900"])
def test_in_a_browser(tmp_path: Path, size: str) -> None:
    (tmp_path / "run").mkdir()
    path = write_report(fake_run(tmp_path / "run"))
    path.write_text(path.read_text().replace("</body>", CLICKS))
    done = browse(path, tmp_path / "profile", "--dump-dom", f"--window-size={size}")
    assert "CONSOLE" not in done.stderr
    assert re.search(r"<title>(.*?)</title>", done.stdout)[1] == "seen 3 1 true true true true"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_names_of_clips_in_a_browser(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    path = write_report(hostile_run(tmp_path / "run"))
    done = browse(path, tmp_path / "profile", "--dump-dom", "--window-size=1280,900")
    assert "CONSOLE" not in done.stderr
    assert re.search(r'<select id="clip">(.*?)</select>', done.stdout)[1].count("<option") == len(HOSTILE)
    assert "CCC of this clip: valence" in done.stdout
    assert '<svg class="main-svg"' in done.stdout


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_the_browser_refuses_a_request_and_the_check_above_would_see_it(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    run = fake_run(tmp_path / "run")
    (run / "predictions.csv").unlink()
    path = write_report(run)
    path.write_text(path.read_text().replace("</body>", '<img src="http://127.0.0.1:9/a.png"></body>'))
    assert "violates the following Content Security Policy" in browse(path, tmp_path / "profile").stderr
