"""The prepared store: once per content and settings, whole or not at all, for any number of processes."""

from __future__ import annotations

import errno
import importlib.util
import multiprocessing
import os
import pickle
import signal
import sys
import time
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from fusekit.contracts import Clip, Detector, Reader, Source, Stream
from fusekit.data import content as content_module
from fusekit.data import makers as makers_module
from fusekit.data import store as store_module
from fusekit.data.cache import cache_dir, kept
from fusekit.data.readers.face_video import FaceVideo
from fusekit.data.store import MAPPED_BYTES, Prepared, PreparedStore, prepare_clips
from fusekit.errors import DataError, FusekitError


class Digits(Reader):
    """Reads a text of numbers; notes each preparation in `log`; the word `bad` is a damaged file."""

    medium: ClassVar[str] = "audio"

    def __init__(self, log: Path, factor: int = 1, wait_s: float = 0.0) -> None:
        self.log, self.factor, self.wait_s = log, factor, wait_s
        self.raw_shape, self.lookahead_s = (1,), 0.0

    def settings(self) -> dict[str, Any]:
        return {"factor": self.factor}

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        text = source.path.read_text()
        with self.log.open("a") as log:
            log.write("x")
        time.sleep(self.wait_s)
        if "bad" in text:
            raise DataError(f"{source.path}: damaged")
        values = np.array([float(v) for v in text.split()]) * self.factor
        return {
            "values": values,
            "big": np.full(MAPPED_BYTES // 8 + 9, values[0]),
            "duration_s": np.array([1.0]),
        }

    def present(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return np.ones(len(times), bool)

    def windows(self, stream: Stream, times: np.ndarray) -> np.ndarray:
        return np.zeros((len(times), 1), np.float32)


class OtherDigits(Digits):
    """Another reader with the same settings."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.touch()
    return path


def text_file(path: Path, text: str) -> Source:
    path.write_text(text)
    return Source(path)


def count(log: Path) -> int:
    return len(log.read_text())


def test_prepared_once_then_read(tmp_path: Path, log: Path) -> None:
    source = text_file(tmp_path / "a.txt", "1 2 3")
    stream = PreparedStore(tmp_path / "store").get(Digits(log), source)
    assert sorted(stream) == ["big", "duration_s", "values"]
    assert stream["values"].tolist() == [1, 2, 3]
    again = PreparedStore(tmp_path / "store")
    assert again.get(Digits(log), source)["values"].tolist() == [1, 2, 3]
    assert again.get(Digits(log), source) is again.get(Digits(log), source)
    assert count(log) == 1


def test_arrays_are_mapped_or_read_only(tmp_path: Path, log: Path) -> None:
    stream = PreparedStore(tmp_path / "store").get(Digits(log), text_file(tmp_path / "a.txt", "4 5"))
    assert isinstance(stream["big"], np.memmap)
    assert not isinstance(stream["values"], np.memmap)
    for name in ("big", "values"):
        with pytest.raises(ValueError, match="read-only"):
            stream[name][0] = 9


def test_workers_get_the_path_not_the_content(tmp_path: Path, log: Path) -> None:
    stream = PreparedStore(tmp_path / "store").get(Digits(log), text_file(tmp_path / "a.txt", "4 5"))
    stream["values"], stream["big"]
    sent = pickle.dumps(stream)
    assert len(sent) < 500
    np.testing.assert_array_equal(pickle.loads(sent)["big"], stream["big"])


def test_key_is_content_and_settings(tmp_path: Path, log: Path) -> None:
    store, source = PreparedStore(tmp_path / "store"), text_file(tmp_path / "a.txt", "1 2")
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("one")
    key = store.key(Digits(log), source)
    assert store.key(Digits(log), text_file(tmp_path / "b.txt", "1 2")) == key  # a copy elsewhere
    others = [
        store.key(Digits(log, factor=2), source),
        store.key(OtherDigits(log), source),
        store.key(Digits(log), Source(source.path, start_s=0.1)),
        store.key(Digits(log), Source(source.path, step_s=0.1)),
        store.key(Digits(log), Source(source.path, boxes=boxes)),
        store.key(Digits(log), text_file(tmp_path / "c.txt", "1 3")),
    ]
    boxes.write_text("two!")
    others.append(store.key(Digits(log), Source(source.path, boxes=boxes)))
    source.path.write_text("1 2 4")
    others.append(store.key(Digits(log), source))
    assert len({key, *others}) == 9


def settle() -> None:
    """Wait until a further change of a file shows in its time stamps."""
    time.sleep(2 * content_module.TICK_S)


def test_content_is_remembered_while_the_file_stays(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = text_file(tmp_path / "a.txt", "1 2")
    settle()
    want = PreparedStore(tmp_path / "store").key(Digits(log), source)
    monkeypatch.setattr(content_module.hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    assert PreparedStore(tmp_path / "store").key(Digits(log), source) == want
    os.utime(source.path, (1, 1))
    with pytest.raises(pytest.fail.Exception):
        PreparedStore(tmp_path / "store").key(Digits(log), source)


@pytest.mark.parametrize("how", ["written over", "renamed over", "at once"])
def test_equal_size_and_time_stamp_do_not_hide_other_content(tmp_path: Path, log: Path, how: str) -> None:
    source = text_file(tmp_path / "a.txt", "1 2")
    stamp = source.path.stat().st_mtime_ns
    if how != "at once":
        settle()
    store = PreparedStore(tmp_path / "store")
    assert store.get(Digits(log), source)["values"].tolist() == [1, 2]
    other = source.path if how != "renamed over" else tmp_path / "b.txt"
    other.write_text("8 9")
    os.utime(other, ns=(stamp, stamp))
    other.replace(source.path)
    assert source.path.stat().st_mtime_ns == stamp
    for again in (store, PreparedStore(tmp_path / "store")):  # in this process, and in the next one
        assert again.get(Digits(log), source)["values"].tolist() == [8, 9]


def test_a_damaged_note_of_contents_is_not_believed(tmp_path: Path, log: Path) -> None:
    source = text_file(tmp_path / "a.txt", "1 2")
    settle()
    want = PreparedStore(tmp_path / "store").key(Digits(log), source)
    (note,) = (tmp_path / "store" / "contents").iterdir()
    note.write_text(("0" if note.read_text()[0] != "0" else "1") + note.read_text()[1:])
    assert PreparedStore(tmp_path / "store").key(Digits(log), source) == want


class Joined(Digits):
    """Reads what the lines of an index name beside it, too."""

    def files(self, source: Source) -> list[Path]:
        names = source.path.read_text().split()
        return [source.path, *(source.path.with_name(name) for name in names)]

    def prepare(self, source: Source) -> dict[str, np.ndarray]:
        self.log.write_text(self.log.read_text() + "x")
        there = [path for path in self.files(source)[1:] if path.exists()]
        return {"values": np.array([float(path.read_text()) for path in there]), "duration_s": np.ones(1)}


def test_every_file_that_a_reader_opens_counts(tmp_path: Path, log: Path) -> None:
    """A part that changes, appears, goes, or trades places with another."""
    source = text_file(tmp_path / "index.txt", "a b c")
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    store = PreparedStore(tmp_path / "store")

    def values() -> list[float]:
        return store.get(Joined(log), source)["values"].tolist()

    assert values() == [1, 2]
    (tmp_path / "b").write_text("3")
    assert values() == [1, 3]
    (tmp_path / "c").write_text("4")
    assert values() == [1, 3, 4]
    (tmp_path / "a").write_text("3")
    (tmp_path / "b").write_text("1")
    assert values() == [3, 1, 4]
    (tmp_path / "c").unlink()
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("3")
    assert values() == [1, 3]
    assert count(log) == 4  # the last was there from before
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("index.txt", "a", "b"):
        (tmp_path / name).rename(moved / name)
    assert store.get(Joined(log), Source(moved / "index.txt"))["values"].tolist() == [1, 3]
    assert count(log) == 4


def test_a_folder_stands_for_all_files_in_it(tmp_path: Path, log: Path) -> None:
    folder = tmp_path / "tables"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.csv").write_text("1")
    (folder / "inner" / "b.csv").write_text("2")
    store, source, keys = PreparedStore(tmp_path / "store"), Source(folder), []
    for change in (
        lambda: None,
        lambda: (folder / "inner" / "b.csv").write_text("3"),
        lambda: (folder / "inner" / "b.csv").rename(folder / "inner" / "c.csv"),
        lambda: (folder / "inner" / "d.csv").write_text("3"),
        lambda: (folder / "a.csv").unlink(),
    ):
        change()
        keys.append(store.key(Digits(log), source))
    assert len(set(keys)) == 5
    (folder / ".hidden").write_text("left by a file manager")
    assert store.key(Digits(log), source) == keys[-1]
    assert store.key(Digits(log), Source(folder.rename(tmp_path / "elsewhere"))) == keys[-1]


def test_the_suffix_of_a_name_counts_as_it_may_say_how_to_read(tmp_path: Path, log: Path) -> None:
    store = PreparedStore(tmp_path / "store")
    assert store.key(Digits(log), text_file(tmp_path / "a.csv", "1 2")) != store.key(
        Digits(log), text_file(tmp_path / "a.txt", "1 2")
    )


def test_a_file_that_changes_while_it_is_prepared_is_a_fault(tmp_path: Path, log: Path) -> None:
    class Slow(Digits):
        def prepare(self, source: Source) -> dict[str, np.ndarray]:
            found = super().prepare(source)
            source.path.write_text("3 4")
            return found

    store, source = PreparedStore(tmp_path / "store"), text_file(tmp_path / "a.txt", "1 2")
    with pytest.raises(DataError, match="changed while it was read"):
        store.get(Slow(log), source)
    assert not list((tmp_path / "store").rglob("entry.json"))


def test_the_code_and_version_of_a_plugin_are_part_of_the_key(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = tmp_path / "my_plugin.py"
    text = "from test_store import Digits\n\n\nclass Mine(Digits):\n    pass\n"

    def key() -> str:
        makers_module._maker.cache_clear()
        makers_module._version.cache_clear()
        sys.modules.pop("fusekit_mine", None)
        loader = SourceFileLoader("fusekit_mine", str(plugin))
        spec = importlib.util.spec_from_loader("fusekit_mine", loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "fusekit_mine", module)
        loader.exec_module(module)
        return PreparedStore(tmp_path / "store").key(module.Mine(log), source)

    source = text_file(tmp_path / "a.txt", "1 2")
    plugin.write_text(text)
    first = key()
    assert key() == first
    plugin.write_text(text.replace("    pass", "    more = 1"))
    second = key()
    point = SimpleNamespace(
        value="fusekit_mine.plugin", dist=SimpleNamespace(name="fusekit-mine", version="1.0")
    )
    monkeypatch.setattr(makers_module.metadata, "entry_points", lambda group: (point,))
    third = key()
    point.dist.version = "1.1"
    assert len({first, second, third, key()}) == 4


class Finder(Detector):
    """Finds nothing, by a file."""

    def __init__(self, model: Path) -> None:
        self.model = model

    def files(self) -> list[Path]:
        return [self.model]

    def detect(self, frame: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        return np.zeros((0, 5))


def test_a_detectors_file_counts_by_its_content(tmp_path: Path) -> None:
    model = tmp_path / "a.onnx"
    model.write_text("one")
    reader = FaceVideo(detector="finder", detector_args={"model": str(model)})
    reader.use_detector(Finder(model))
    store, source = PreparedStore(tmp_path / "store"), text_file(tmp_path / "a.mp4", "a video")
    key, stamp = store.key(reader, source), model.stat().st_mtime_ns
    assert store.key(reader, source) == key
    settle()
    assert store.key(reader, source) == key
    model.write_text("two")
    os.utime(model, ns=(stamp, stamp))
    assert store.key(reader, source) != key
    assert "detector_files" not in FaceVideo().settings()  # runs of before keep their settings


def test_bad_file_fails_every_time_and_leaves_nothing(tmp_path: Path, log: Path) -> None:
    store, source = PreparedStore(tmp_path / "store"), text_file(tmp_path / "a.txt", "bad")
    for _ in range(2):
        with pytest.raises(DataError, match="damaged"):
            store.get(Digits(log), source)
    assert not [
        p for p in (tmp_path / "store").rglob("*") if p.suffix in (".npy", ".json") or ".tmp" in p.name
    ]
    with pytest.raises(DataError, match="no such file"):
        store.get(Digits(log), Source(tmp_path / "missing.txt"))


def flip(path: Path, byte: int) -> None:
    """One bit of a file, the time stamp as before."""
    stamp = path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    content[byte] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(stamp, stamp))


@pytest.mark.parametrize("damage", ["cut", "gone", "list", "listless", "bit", "bit of a small one", "names"])
def test_damaged_entry_is_made_again_and_told(
    tmp_path: Path, log: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = text_file(tmp_path / "a.txt", "1 2")
    stream = PreparedStore(tmp_path / "store").get(Digits(log), source)
    assert isinstance(stream, Prepared)
    array, listing = stream.folder / "big.npy", stream.folder / "entry.json"
    if damage == "cut":
        os.truncate(array, array.stat().st_size - 1)
    elif damage == "gone":
        array.unlink()
    elif damage == "list":
        listing.write_text("{")
    elif damage == "bit":
        flip(array, 5000)
    elif damage == "bit of a small one":
        flip(stream.folder / "values.npy", -1)
    elif damage == "names":
        listing.write_text(listing.read_text().replace('"big"', '"bog"'))
    else:
        listing.unlink()
    stream = PreparedStore(tmp_path / "store").get(Digits(log), source)
    assert (stream["big"] == 1).all()
    assert stream["values"].tolist() == [1, 2]
    assert count(log) == 2
    said = capsys.readouterr().err
    assert said.startswith("a.txt: what the prepared store kept of it is not what was written there (")
    assert said.endswith("' is damaged); it is prepared again\n")
    assert said.count("\n") == 1
    assert PreparedStore(tmp_path / "store").get(Digits(log), source)["values"].tolist() == [1, 2]
    assert count(log) == 2


def test_an_entry_is_compared_with_its_checksums_once_in_a_process(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, source = PreparedStore(tmp_path / "store"), text_file(tmp_path / "a.txt", "1 2")
    stream = store.get(Digits(log), source)
    monkeypatch.setattr(store_module, "checksum", lambda path: pytest.fail("compared again"))
    assert store.get(Digits(log), source) is stream
    pickle.loads(pickle.dumps(stream))  # a data worker
    with pytest.raises(pytest.fail.Exception):
        PreparedStore(tmp_path / "store").get(Digits(log), source)


def _prepare(folder: Path, log: Path, source: Source, wait_s: float, out: Any) -> None:
    out.put(PreparedStore(folder).get(Digits(log, wait_s=wait_s), source)["values"].tolist())


def test_two_processes_prepare_once(tmp_path: Path, log: Path) -> None:
    source, context = text_file(tmp_path / "a.txt", "7 8"), multiprocessing.get_context("fork")
    out = context.SimpleQueue()
    args = (tmp_path / "store", log, source, 0.3, out)
    workers = [context.Process(target=_prepare, args=args) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0
    assert [out.get() for _ in workers] == [[7, 8]] * 3
    assert count(log) == 1


def test_killed_process_leaves_a_usable_store(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when half of the arrays are written: the lock is free, the rest is swept away."""
    source, context = text_file(tmp_path / "a.txt", "7 8"), multiprocessing.get_context("fork")
    write = store_module._write_array

    def hang(path: Path, array: np.ndarray) -> int:
        size = write(path, array)
        if path.stem == "big":
            time.sleep(60)
        return size

    monkeypatch.setattr(store_module, "_write_array", hang)
    worker = context.Process(
        target=_prepare, args=(tmp_path / "store", log, source, 0.0, context.SimpleQueue())
    )
    worker.start()
    deadline = time.monotonic() + 20
    while not list((tmp_path / "store").rglob("big.npy")) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(10)
    monkeypatch.undo()
    assert [p for p in (tmp_path / "store").rglob(".tmp-*") if p.is_dir()]
    assert PreparedStore(tmp_path / "store").get(Digits(log), source)["values"].tolist() == [7, 8]
    assert not [p for p in (tmp_path / "store").rglob(".tmp-*") if p.is_dir()]


def test_full_disk_is_no_fault_of_the_clip(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, store = text_file(tmp_path / "a.txt", "7 8"), PreparedStore(tmp_path / "store")

    def full(path: Path, array: np.ndarray) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store_module, "_write_array", full)
    with pytest.raises(FusekitError, match="No space left.*FUSEKIT_CACHE") as caught:
        prepare_clips([Clip("a", "s", {"voice": source}, None)], {"voice": Digits(log)}, store)
    assert not isinstance(caught.value, DataError)
    assert not list((tmp_path / "store").rglob(".tmp-*"))


def test_hundreds_of_clips_do_not_exhaust_file_handles(tmp_path: Path, log: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    store = PreparedStore(tmp_path / "store")
    stream = store.get(Digits(log), text_file(tmp_path / "a.txt", "1"))
    assert isinstance(stream, Prepared)
    copies = []
    for index in range(450):
        folder = tmp_path / "copies" / str(index)
        folder.mkdir(parents=True)
        for file in stream.folder.iterdir():
            os.link(file, folder / file.name)
        copies.append(Prepared(folder))
    resource.setrlimit(resource.RLIMIT_NOFILE, (420, before[1]))
    try:
        assert all(copy["big"][-1] == 1 and copy["values"][0] == 1 for copy in copies)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_one_bad_clip_among_many(tmp_path: Path, log: Path) -> None:
    good, bad = text_file(tmp_path / "good.txt", "1 2"), text_file(tmp_path / "bad.txt", "bad")
    clips = [
        Clip("both", "s", {"face": good, "voice": good}, None),
        Clip("face-only", "s", {"face": good}, None),
        Clip("broken", "s", {"face": good, "voice": bad}, None),
        Clip("gone", "s", {"voice": Source(tmp_path / "gone.txt")}, None),
        Clip("other", "s", {"ecg": good}, None),
    ]
    seen: list[tuple[int, int, str]] = []
    streams, rejected = prepare_clips(
        clips,
        {"face": Digits(log), "voice": Digits(log, factor=3)},
        PreparedStore(tmp_path / "store"),
        lambda *step: seen.append(step),
    )
    assert {clip: list(found) for clip, found in streams.items()} == {
        "both": ["face", "voice"],
        "face-only": ["face"],
    }
    assert streams["both"]["voice"]["values"].tolist() == [3, 6]
    assert [r.where for r in rejected] == ["broken", "gone", "other"]
    assert "damaged" in rejected[0].reason
    assert "no such file" in rejected[1].reason
    assert "face, voice" in rejected[2].reason
    assert seen == [(i, 5, clip.id) for i, clip in enumerate(clips)]


def test_cache_folder_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSEKIT_CACHE", str(tmp_path / "here"))
    assert cache_dir() == tmp_path / "here"
    assert PreparedStore().folder == tmp_path / "here" / "prepared"
    assert not (tmp_path / "here").exists()
    monkeypatch.delenv("FUSEKIT_CACHE")
    assert cache_dir().name == "fusekit"


def test_what_the_cache_keeps_by_content_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSEKIT_CACHE", str(tmp_path))
    path = kept(b"one,two", "tables", ".csv", "a table")
    assert path.read_bytes() == b"one,two"
    stamp = path.stat().st_mtime_ns
    assert kept(b"one,two", "tables", ".csv", "a table") == path
    assert path.stat().st_mtime_ns == stamp  # not written anew
    path.write_bytes(b"one,")
    assert kept(b"one,two", "tables", ".csv", "a table").read_bytes() == b"one,two"
