"""The study's report: one file, no request; tables sort, clips scrub, in a real browser."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import paper_study
import pytest

from fusekit.errors import DataError
from fusekit.study.paper.analyses import delta_wa
from fusekit.study.paper.browser import MAX_CLIPS, MAX_POINTS, browser_data
from fusekit.study.paper.report import write_study_report
from fusekit.study.paper.results import Results, load_results
from fusekit.study.table import attention_of, of_clip

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)
# One head spans rows, one columns; a body has a head that stays; keys are not in the order of the texts, and
# one is missing.
TABLE = """<table class="paper-table"><caption>Table 1</caption><thead>
<tr><th rowspan="2">model</th><th colspan="2">CCC</th></tr><tr><th>valence</th><th>arousal</th></tr></thead>
<tbody><tr class="paper-section"><th colspan="3">S</th></tr>
<tr><th>b</th><td data-sort="10">ten</td><td>0.5</td></tr>
<tr><th>a</th><td data-sort="9">nine</td><td>−0.1</td></tr>
<tr><th>c</th><td>-</td><td>0.25</td></tr></tbody></table>"""


def frames(clip: str, modality: str, times: np.ndarray) -> np.ndarray | None:
    """Wide pictures whose red tells the time; of the voice the media are lost."""
    if modality == "voice":
        raise DataError("there is no such file")
    pictures = np.full((len(times), 3, 40, 120), -1.0)
    pictures[:, 0] = (times / 20 - 0.9)[:, None, None]
    return pictures


def study_with_more(folder: Path, **sizes: int) -> Results:
    """A study with figures, captions and journals beside its runs."""
    results = load_results(paper_study.write_study(folder, **sizes))
    (folder / "figures").mkdir()
    _, png = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))
    (folder / "figures" / "figure3.png").write_bytes(png.tobytes())
    captions = {"figures": {"3": {"title": "Title <3>", "caption": "Fold 0."}}, "left_out": ["No figure 6."]}
    (folder / "figures" / "captions.json").write_text(json.dumps(captions))
    for number, name in enumerate(("Vi", "AVi-GaS")):
        run = results.of(name)[0]
        entries = [
            {"stage": stage, "phase": stage, "window": 2, "epoch": e, "train": {"loss": 1.0},
             "validation": {} if e == 2 else {"ccc": {"valence": 0.1, "mean": 0.1 * e + number}}}
            for stage in ("latent", "sequence")
            for e in (1, 2, 3)
        ]  # fmt: skip
        (run.folder / "metrics.jsonl").write_text("".join(json.dumps(e) + "\n" for e in entries))
    return results


def outside_scripts(page: str) -> str:
    return re.sub(r"<script.*?</script>", "", page, flags=re.S)


def data_of(page: str) -> dict:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, flags=re.S)
    assert found is not None
    return json.loads(found[1])


def floats(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def test_one_file_with_everything_and_nothing_fetched(tmp_path: Path) -> None:
    results = study_with_more(tmp_path / "s")
    path = write_study_report(results, [TABLE], ["A note <b>."], frames)
    assert path == results.folder / "report.html"
    page = path.read_text()
    text = outside_scripts(page)
    assert "default-src 'none'" in page
    assert not re.search(r"<(link|iframe|object|embed|base|form)\b|@import|url\(", text)
    assert not re.search(r"\b(src|href|action)\s*=\s*(?![\"']?(data:|#))", text)
    assert not re.search(r"https?://", page)
    assert TABLE in text
    for word in (
        "A note &lt;b&gt;.",
        "No figure 6.",
        "Title &lt;3&gt;",
        "16 of 16 runs finished",
        results.corpus,
    ):
        assert word in text
    assert text.count("<img") == 1
    curves = data_of(page)["curves"]["runs"]
    assert [(r["model"], r["x"], r["y"]) for r in curves] == [
        (0, [1, 3], [0.1, 0.3]),
        (7, [1, 3], [1.1, 1.3]),
    ]


def test_a_bare_study_and_names_that_would_break_out(tmp_path: Path) -> None:
    folder = paper_study.write_study(tmp_path / "s", folds=1, leave="Au")
    plan = json.loads((folder / "study.json").read_text()) | {"name": "</script><script>alert(1)</script>"}
    (folder / "study.json").write_text(json.dumps(plan))
    page = write_study_report(load_results(folder), [], []).read_text()
    assert "alert(1)</script>" not in page
    assert "1 planned runs are not finished" in page
    assert "Au, fold 0, seed 0" in page
    for part in ("tables", "curves", "notes", "figure3"):
        assert f'id="{part}"' not in page
    assert 'id="clips"' in page
    assert page.count("</script>") == 2


def test_the_browser_has_what_the_runs_predicted(tmp_path: Path) -> None:
    results = load_results(paper_study.write_study(tmp_path / "s", steps=70))
    data = browser_data(results, frames)
    assert data["models"] == list(paper_study.MODELS)
    assert data["rule"] == "6 of 6 test clips"
    clip = next(c for c in data["clips"] if c["label"] == "f1s2 (fold 1)")
    run = next(r for r in results.of("AVi-GaS") if r.fold == 1)
    rows = of_clip(run.table, "f1s2")
    own = clip["models"][7]
    np.testing.assert_allclose(floats(clip["time"]), rows["time_s"], rtol=1e-6)
    np.testing.assert_allclose(floats(clip["truth"][0]), rows["valence_true"], rtol=1e-6)
    np.testing.assert_allclose(floats(own["prediction"][1]), rows["arousal"], rtol=1e-6)
    np.testing.assert_allclose(floats(own["gates"]["face"]), rows["gate_face"], rtol=1e-6)
    attention = attention_of(rows)
    assert attention is not None
    weights = np.frombuffer(base64.b64decode(own["attention"]), np.uint8).reshape(8, -1)
    np.testing.assert_allclose(weights.T / 255, attention, atol=0.002)
    np.testing.assert_allclose(floats(own["delta"]), delta_wa(attention), rtol=1e-5)
    assert clip["models"][0]["memory"] == 0
    assert clip["models"][0]["gates"] == {}


def test_pictures_are_small_one_a_second_and_lost_media_are_no_fault(tmp_path: Path) -> None:
    results = load_results(paper_study.write_study(tmp_path / "s", folds=1, steps=100))
    clip = browser_data(results, frames)["clips"][0]
    (face,) = clip["pictures"]
    assert face["modality"] == "face"
    assert face["size"] == [96, 32]
    assert face["times"] == list(range(32))
    sheet = np.frombuffer(base64.b64decode(face["sheet"].split(",")[1]), np.uint8)
    picture = cv2.imdecode(sheet, cv2.IMREAD_COLOR)
    assert picture.shape == (2 * 32, 20 * 96, 3)
    # The 22nd second stands in the second row, third column.
    assert picture[48, 2 * 96 + 48, 2] == pytest.approx(255 * (22 / 20 - 0.9 + 1) / 2, abs=6)
    assert not browser_data(results)["pictures"]


def test_large_studies_show_some_clips_by_a_stated_rule_and_thinned(tmp_path: Path) -> None:
    steps = 2 * MAX_POINTS + 1
    results = load_results(paper_study.write_study(tmp_path / "s", folds=2, subjects=7, steps=30))
    data = browser_data(results)
    assert len(data["clips"]) == MAX_CLIPS
    assert data["rule"] == "12 of 14 test clips: the folds in turn, within a fold by name"
    assert [c["label"] for c in data["clips"]] == [f"f{f}s{s} (fold {f})" for f in (0, 1) for s in range(6)]
    long = load_results(paper_study.write_study(tmp_path / "long", folds=1, subjects=1, steps=steps))
    data = browser_data(long)
    assert data["thinned"]
    assert len(floats(data["clips"][0]["time"])) == 1001


# Works through the page as a reader would, and leaves what it saw in the title.
ACTS = """<script>
addEventListener("load", async () => {
  const el = (id) => document.getElementById(id);
  const text = (selector) => document.querySelector(selector).textContent;
  const table = document.querySelector(".paper-table");
  const order = () => Array.from(table.tBodies[0].rows, (r) => r.cells[0].textContent).join("");
  const heads = table.querySelectorAll(".sorts");
  const seen = { heads: heads.length, orders: [order()] };
  for (const head of [1, 1, 0]) {
    heads[head].click();
    seen.orders.push(order());
  }
  heads[2].dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
  seen.orders.push(order());
  seen.sorted = Array.from(heads, (head) => head.getAttribute("aria-sort"));

  const scrub = el("scrub");
  const row = (i) => Array.from(el("values").rows[i].cells, (c) => c.textContent);
  const press = (key, shiftKey) =>
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key, shiftKey, bubbles: true }));
  const before = row(9).join();
  scrub.value = 20;
  scrub.dispatchEvent(new Event("input"));
  Object.assign(seen, { now: el("now").textContent, truth: row(1).slice(1, 3), model: row(9)[0] });
  seen.changed = row(9).join() !== before;
  press("ArrowRight", false);
  press("ArrowLeft", true);
  Object.assign(seen, { scrub: scrub.value, picture: text("#seen figcaption") });
  await new Promise((done) => setTimeout(done, 300));
  seen.red = document.querySelector("#seen canvas").getContext("2d").getImageData(40, 10, 1, 1).data[0];

  const [lines, height] = [el("lines").toDataURL(), el("lines").height];
  el("model").value = "0";
  el("model").dispatchEvent(new Event("change"));
  seen.redrawn = el("lines").toDataURL() !== lines && el("lines").height < height;
  seen.chosen = text(".shown th");
  const point = (id, share) => {
    const box = el(id).getBoundingClientRect();
    const at = { clientX: box.left + box.width * share, clientY: box.top + 9 };
    el(id).dispatchEvent(new PointerEvent("pointermove", at));
  };
  point("cursor", 0.5);
  seen.tip = el("tip").textContent.replace(/[0-9.−–]+/g, "N");
  el("next").click();
  seen.next = [el("clip").selectedIndex, scrub.value];
  point("curve-cursor", 0.97);
  seen.curve = el("curve-tip").textContent;
  seen.fits = document.documentElement.scrollWidth <= innerWidth;
  document.title = JSON.stringify(seen);
});
</script></body>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("size", ["1280,900", "500,900"])
def test_in_a_browser(tmp_path: Path, size: str) -> None:
    results = study_with_more(tmp_path / "s", steps=70)
    path = write_study_report(results, [TABLE], ["A note."], frames)
    path.write_text(path.read_text().replace("</body>", ACTS))
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr",
        "--virtual-time-budget=10000", "--dump-dom", f"--window-size={size}", path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    rows = of_clip(results.of("AVi-GaS")[0].table, "f0s0")
    truth = [
        "–" if np.isnan(v) else f"{v:.2f}".replace("-", "−")
        for v in (rows[f"{dim}_true"][20] for dim in results.dims)
    ]
    seen = json.loads(title[1])
    assert seen.pop("red") == pytest.approx(255 * (3 / 20 - 0.9 + 1) / 2, abs=4)
    assert seen == {
        "heads": 3,
        "orders": ["Sbac", "Sabc", "Sbac", "Sabc", "Sacb"],
        "sorted": [None, None, "ascending"],
        "now": "6.40 s, step 21 of 70",
        "truth": truth,
        "changed": True,
        "model": "AVi-GaS",
        "scrub": "11",
        "picture": "face, 3.0 s",
        "redrawn": True,
        "chosen": "Vi",
        "tip": "N s\nvalence: truth N\n  Vi N\narousal: truth N\n  Vi N",
        "next": [1, "0"],
        "curve": "epoch 3\n1.300  AVi-GaS\n0.300  Vi",
        "fits": True,
    }
