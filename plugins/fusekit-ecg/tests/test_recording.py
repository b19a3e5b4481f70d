"""Files become samples: CSV of many forms, WFDB, EDF; what is wrong with them is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusekit.contracts import Source
from fusekit.data.store import PreparedStore
from fusekit.errors import DataError
from fusekit_ecg import formats
from fusekit_ecg.cases import heart, write_csv
from fusekit_ecg.recording import filled, read_recording, recording_files
from fusekit_ecg.wave import ECG


def _text(folder: Path, text: str, name: str = "x.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _column(samples: np.ndarray) -> str:
    return "\n".join(map(str, samples.tolist()))


def test_a_header_says_rate_start_and_leads(tmp_path: Path) -> None:
    rows = "\n".join(f"{2 + i / 100:.2f},{i},{-i},9" for i in range(300))
    found = read_recording(_text(tmp_path, "time_s,ecg_left,ecg_right,breath\n" + rows), leads=2)
    assert found.names == ("ecg_left", "ecg_right")
    assert found.rate == pytest.approx(100)
    assert found.start_s == 2
    assert found.duration_s == pytest.approx(5)
    np.testing.assert_array_equal(found.signal, np.stack([np.arange(300), -np.arange(300)], axis=1))
    named = read_recording(tmp_path / "x.csv", columns=["breath"])
    assert set(named.signal[:, 0]) == {9}


def test_columns_without_header_need_a_rate_and_a_choice(tmp_path: Path) -> None:
    one = _text(tmp_path, _column(np.arange(200.0)), "one.csv")
    with pytest.raises(DataError, match=r"no header, so its rate is not known.*`rate_hz: 250`"):
        read_recording(one)
    assert read_recording(one, rate_hz=200).duration_s == pytest.approx(1)
    two = _text(tmp_path, "\n".join(f"{i},{i % 7}" for i in range(200)), "two.csv")
    with pytest.raises(DataError, match=r"2 columns without a header.*`columns: \['2'\]`"):
        read_recording(two, rate_hz=200)
    np.testing.assert_array_equal(
        read_recording(two, rate_hz=200, columns=["2"]).signal[:, 0], np.arange(200) % 7
    )


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("", {"rate_hz": 100}, "there are no samples"),
        ("time_s,ecg\n", {}, "there are no samples"),
        ("time_s,ecg\n0,1\n0.01,x\n", {}, "line 3: 'x' is not a number"),
        ("time_s,ecg\n0,1\n0.01\n", {}, "line 3: 1 cells"),
        ("time_s,ecg\n0,1\n0.02,2\n0.01,3\n", {}, "after 0.02 comes 0.01"),
        ("time_s,ecg\n0,1\n", {}, "at least two"),
        ("time_s,ecg\n1700000000,1\n1700000000.01,2\n", {}, "begins at 1.7e"),
        ("time_s,ecg\n0,1\n0.1,2\n0.2,3\n", {}, "10 samples per second"),
        ("time_s,ecg\n0,1\n1e-9,2\n2e-9,3\n", {}, r"1e\+09 samples per second"),
        ("time_s,ecg\n0,1\n1e-310,2\n", {}, "inf samples per second"),
        ("ecg\n1\n2\n", {"rate_hz": 1e9}, r"1e\+09 samples per second"),
        ("time_s,ecg\n0,1\n.01,2\n.02,2\n.03,2\n1e12,3\n", {}, "after time_s 0.03 comes 1e.12"),
        ("time_s,ecg\n0,1\n0.01,2\n", {"rate_hz": 100}, "leave `rate_hz` out"),
        ("time_s,a,b\n0,1,1\n0.01,2,2\n", {}, r"`columns: \[a\]`"),
        ("time_s,ecg\n0,1\n0.01,2\n", {"columns": ["II"]}, "no lead II; it has ecg"),
        ("ecg,ecg\n0,1\n0.01,2\n", {"rate_hz": 100}, "same name"),
        ("seconds,ecg\n0,1\n0.01,2\n", {}, "no column time_s"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, arguments: dict, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read_recording(_text(tmp_path, text), **arguments)
    assert "x.csv" in str(caught.value)


def test_files_that_are_no_ecg(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_recording(tmp_path / "none.csv")
    with pytest.raises(DataError, match="not .mat ones"):
        read_recording(_text(tmp_path, "1", "x.mat"))
    (tmp_path / "b.csv").write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match="UTF-8"):
        read_recording(tmp_path / "b.csv", rate_hz=100)
    for name in ("x.edf", "x.hea", "x.bdf"):
        (tmp_path / name).write_bytes(b"no recording at all" * 50)
        with pytest.raises(DataError, match=name):
            read_recording(tmp_path / name)
    with pytest.raises(DataError, match="needs its header"):
        read_recording(_text(tmp_path, "1", "alone.dat"))


def test_a_rate_that_other_times_contradict_is_refused(tmp_path: Path) -> None:
    for name, step in (("time", 0.002), ("Time (ms)", 2), ("timestamp_us", 2000), ("t", 2.1)):
        rows = "".join(f"{k * step:.6f},{k % 7}\n" for k in range(300))
        path = _text(tmp_path, f"{name},ecg\n{rows}")
        assert read_recording(path, rate_hz=500).rate == 500
        with pytest.raises(DataError, match=r"fits 250 samples per second in no unit. Correct `rate_hz`"):
            read_recording(path, rate_hz=250)
    counted = _text(tmp_path, "t,ecg\n" + "".join(f"{k},{k % 7}\n" for k in range(300)))
    assert read_recording(counted, rate_hz=250).rate == 250


def test_gaps_do_not_ask_for_gigabytes(tmp_path: Path) -> None:
    path = _text(tmp_path, "time_s,ecg\n0,1\n0.00001,2\n0.00002,2\n80000,3\n")
    with pytest.raises(DataError, match="4 samples lie over 80000 s, so nearly all are gaps"):
        read_recording(path)


def test_gaps_that_other_columns_tell_are_refused(tmp_path: Path) -> None:
    for name, step in (("time", 0.01), ("t_ms", 10.0), ("sample", 1.0), ("Sample No.", 1.0)):
        at = np.delete(np.arange(500), np.s_[100:150]) * step
        rows = "\n".join(f"{t:g},{i}" for i, t in enumerate(at))
        path = _text(tmp_path, f"{name},ecg\n" + rows)
        said = f"leaps from {99 * step:g} to {150 * step:g}: samples are missing"
        with pytest.raises(DataError, match=said):
            read_recording(path, rate_hz=100)
    # Stamps of arrival jitter, and a device's count begins anew: nothing is missing.
    late = np.arange(500) * 0.01 + np.where(np.arange(500) % 100 == 50, 0.02, 0)
    for name, at in (("time", late), ("sample", np.arange(500) % 256)):
        path = _text(tmp_path, f"{name},ecg\n" + "\n".join(f"{t:g},{i}" for i, t in enumerate(at)))
        assert read_recording(path, rate_hz=100).duration_s == pytest.approx(5)


def test_an_empty_line_is_a_sample_that_is_missing(tmp_path: Path) -> None:
    lines = [str(i) for i in range(400)]
    gap = [*lines[:100], *[""] * 50, *lines[150:]]
    for head, empty in (("ecg", ""), ("ecg,breath", ",")):
        text = "\n".join([head, *(f"{v},1" if v and empty else v or empty for v in gap)])
        found = read_recording(_text(tmp_path, text + "\n\n"), rate_hz=100).signal[:, 0]
        assert np.isnan(found[100:150]).all()
        np.testing.assert_array_equal(found[~np.isnan(found)], [*range(100), *range(150, 400)])
    doubled = _text(tmp_path, "ecg\n\n" + "\n\n".join(lines))  # as csv.writer on a text file of Windows
    np.testing.assert_array_equal(read_recording(doubled, rate_hz=100).signal[:, 0], np.arange(400))


def test_a_start_time_above_the_samples_is_none_of_them(tmp_path: Path) -> None:
    path = _text(tmp_path, "1544027337.0\n250.0\n" + _column(np.arange(300.0)))
    with pytest.raises(DataError, match=r"begins with 1544027337, which is no sample.*Take these lines out"):
        read_recording(path, rate_hz=250)


def test_times_of_packets_are_no_times_of_samples(tmp_path: Path) -> None:
    at = [packet * 0.5 + k * 2e-4 for packet in range(40) for k in range(64)]
    path = _text(tmp_path, "time_s,ecg\n" + "\n".join(f"{t:.5f},{i}" for i, t in enumerate(at)))
    with pytest.raises(DataError, match="40 bursts of 5000 a second.*when packets came"):
        read_recording(path)


def test_more_samples_than_a_header_says_are_refused(tmp_path: Path) -> None:
    import edfio
    import wfdb

    wave, _ = heart(20, 250)
    for fmt in ("16", "212", "80"):
        wfdb.wrsamp(
            "rec", fs=250, units=["mV"], sig_name=["II"], p_signal=wave[:, None], fmt=[fmt],
            write_dir=str(tmp_path),
        )  # fmt: skip
        header = tmp_path / "rec.hea"
        first, signal, *_ = header.read_text().split("\n")
        bare = " ".join(signal.split()[:5])  # without its checksum
        header.write_text(f"{first}\n{bare}\n")
        assert len(read_recording(header).signal) == 5000
        header.write_text(f"{first.replace('5000', '2500')}\n{bare}\n")
        with pytest.raises(DataError, match=r"rec\.dat holds 20\.0 s, the header says 10\.0 s"):
            read_recording(header)
        header.write_text(f"{first.replace('5000', '9000')}\n{bare}\n")
        with pytest.raises(DataError, match=r"rec\.hea: cannot be read as a WFDB record"):
            read_recording(header)
    edfio.Edf([edfio.EdfSignal(wave, 250, label="ECG")]).write(tmp_path / "whole.edf")
    content = (tmp_path / "whole.edf").read_bytes()
    path = tmp_path / "more.edf"
    for data in (content + content[-5000:], content[:236] + b"10      " + content[244:]):
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"it holds \d+ records, its header says \d+"):
            read_recording(path)


def test_rounded_times_leave_the_samples_alone(tmp_path: Path) -> None:
    wave, _ = heart(20, 360)
    rows = "\n".join(f"{i / 360:.3f},{v:.6f}" for i, v in enumerate(wave))
    found = read_recording(_text(tmp_path, "time_s,ecg\n" + rows))
    assert found.rate == pytest.approx(360, rel=1e-4)
    np.testing.assert_allclose(found.signal[:, 0], wave, atol=1e-6)


def test_gaps_and_empty_cells_are_not_recorded(tmp_path: Path) -> None:
    kept = [i for i in range(1000) if not 300 <= i < 500]
    rows = "\n".join(f"{i / 100:.2f},{'' if i == 50 else i}" for i in kept)
    found = read_recording(_text(tmp_path, "time_s,ecg\n" + rows))
    missing = np.flatnonzero(np.isnan(found.signal[:, 0]))
    assert len(found.signal) == 1000
    assert set(missing) == {50, *range(300, 500)}
    held, there = filled(found.signal)
    assert (held[300:500] == 299).all()
    assert np.array_equal(np.flatnonzero(~there[:, 0]), missing)


def test_an_empty_cell_blanks_the_nearest_sample_alone(tmp_path: Path) -> None:
    times = (np.arange(1000) + 0.3 * np.random.default_rng(1).uniform(-1, 1, 1000)) / 100
    times[0] = 0
    kept, empty = [i for i in range(1000) if not 700 <= i < 720], {50, 200, 300, 301, 302, 400}
    rows = "\n".join(f"{times[i]:.6f},{'' if i in empty else 1}" for i in kept)
    found = read_recording(_text(tmp_path, "time_s,ecg\n" + rows))
    assert set(np.flatnonzero(np.isnan(found.signal[:, 0]))) == empty | set(range(700, 720))


@settings(max_examples=40, deadline=None)
@given(
    rate=st.floats(60, 600),
    start=st.floats(0.1, 50),
    jitter=st.floats(0, 0.4),
    seed=st.integers(0, 2**16),
)
def test_jittered_times_give_the_same_curve(
    tmp_path_factory: pytest.TempPathFactory, rate: float, start: float, jitter: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    times = start + (np.arange(400) + jitter * rng.uniform(-0.5, 0.5, 400)) / rate
    rows = "\n".join(f"{t!r},{float(np.sin(2 * np.pi * (t - start)))!r}" for t in times.tolist())
    found = read_recording(_text(tmp_path_factory.mktemp("jitter"), "time_s,ecg\n" + rows))
    assert found.rate == pytest.approx(rate, rel=0.01)
    t = found.start_s - start + np.arange(len(found.signal)) / found.rate
    # At most half a jitter of a sample beside, on a sine of one per second.
    assert np.abs(found.signal[:, 0] - np.sin(2 * np.pi * t)).max() < 2 * np.pi * 1.5 / rate


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="0123456789.,-enatim_s \n\"'\t;\r", max_size=200))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = _text(tmp_path_factory.mktemp("any"), text)
    try:
        found = read_recording(path, rate_hz=100)
    except DataError as error:
        assert "x.csv" in str(error)  # noqa: PT017 - refusing is allowed, not naming the file is not
        return
    assert found.signal.shape == (len(found.signal), 1)


def test_wfdb_is_read_and_its_checksum_held(tmp_path: Path) -> None:
    import wfdb

    wave, _ = heart(20, 360)
    both = np.stack([wave, -wave], axis=1)
    wfdb.wrsamp(
        "rec", fs=360, units=["mV", "mV"], sig_name=["MLII", "V1"], p_signal=both, fmt=["16", "16"],
        write_dir=str(tmp_path),
    )  # fmt: skip
    for name in ("rec.hea", "rec.dat"):
        found = read_recording(tmp_path / name, leads=2)
        assert (found.rate, found.names) == (360, ("MLII", "V1"))
        np.testing.assert_allclose(found.signal, both, atol=1e-3)
    content = bytearray((tmp_path / "rec.dat").read_bytes())
    content[1000] ^= 255
    (tmp_path / "rec.dat").write_bytes(content)
    with pytest.raises(DataError, match="checksum"):
        read_recording(tmp_path / "rec.hea")
    (tmp_path / "rec.dat").unlink()
    with pytest.raises(DataError, match=r"rec\.dat, which the header names, is not beside it"):
        read_recording(tmp_path / "rec.hea")


def test_wfdb_leads_keep_the_rate_they_were_sampled_at(tmp_path: Path) -> None:
    """Four samples of one signal to one of another per frame, as monitors write them."""
    import wfdb

    wave, breath = heart(20, 500)[0], np.sin(np.arange(20 * 125) / 9)
    record = wfdb.Record(
        record_name="frames", n_sig=2, fs=125, sig_len=2500, samps_per_frame=[4, 1], fmt=["16", "16"],
        units=["mV", "mV"], adc_gain=[1000.0, 1000.0], baseline=[0, 0], adc_res=[16, 16], adc_zero=[0, 0],
        block_size=[0, 0], sig_name=["II", "RESP"], file_name=["frames.dat", "frames.dat"],
        e_p_signal=[wave, breath],
    )  # fmt: skip
    record.e_d_signal = record.adc(expanded=True)
    record.checksum = record.calc_checksum(expanded=True)
    record.init_value = [int(samples[0]) for samples in record.e_d_signal]
    record.wrsamp(expanded=True, write_dir=str(tmp_path))
    found = read_recording(tmp_path / "frames.hea")
    assert (found.rate, found.names) == (500, ("II",))
    np.testing.assert_allclose(found.signal[:, 0], wave, atol=1e-3)
    with pytest.raises(DataError, match="different rates"):
        read_recording(tmp_path / "frames.hea", columns=["II", "RESP"])


def test_wfdb_segments_are_joined_each_by_its_own_gain(tmp_path: Path) -> None:
    import wfdb

    waves = [heart(10, 250, seed=seed)[0] * gain for seed, gain in ((0, 1.0), (1, 0.1))]
    for name, wave in zip("ab", waves, strict=True):  # the gain follows the largest sample
        wfdb.wrsamp(
            name, fs=250, units=["mV"], sig_name=["II"], p_signal=wave[:, None], fmt=["16"],
            write_dir=str(tmp_path),
        )  # fmt: skip
    (tmp_path / "both.hea").write_text("both/2 1 250 5000\na 2500\nb 2500\n")
    found = read_recording(tmp_path / "both.hea")
    np.testing.assert_allclose(found.signal[:, 0], np.concatenate(waves), atol=1e-3)


def test_signals_without_names_and_files_without_signals(tmp_path: Path) -> None:
    import edfio
    import wfdb

    wave, _ = heart(10, 250)
    wfdb.wrsamp(
        "one", fs=250, units=["mV"], sig_name=["II"], p_signal=wave[:, None], fmt=["16"],
        write_dir=str(tmp_path),
    )  # fmt: skip
    header = tmp_path / "one.hea"
    header.write_text(header.read_text().replace(" II", ""))
    assert read_recording(header).names == ("signal 1",)
    with pytest.raises(DataError, match="it has no lead II; it has signal 1"):
        read_recording(header, columns=["II"])
    edfio.Edf([], annotations=[edfio.EdfAnnotation(0, 1, "x")]).write(tmp_path / "none.edf")
    with pytest.raises(DataError, match="no signals in it"):
        read_recording(tmp_path / "none.edf")


def test_edf_is_read_by_the_names_of_its_signals(tmp_path: Path) -> None:
    import edfio

    wave, _ = heart(20, 250)
    eeg = edfio.EdfSignal(np.sin(np.arange(20 * 100) / 9), 100, label="EEG Fpz")
    lead = edfio.EdfSignal(wave, 250, label="ECG II", physical_dimension="mV")
    edfio.Edf([eeg, lead]).write(tmp_path / "rec.edf")
    found = read_recording(tmp_path / "rec.edf")
    assert (found.rate, found.names) == (250, ("ECG II",))
    np.testing.assert_allclose(found.signal[:, 0], wave, atol=1e-3)
    with pytest.raises(DataError, match="different rates"):
        read_recording(tmp_path / "rec.edf", columns=["EEG Fpz", "ECG II"])
    edfio.Edf([eeg, lead, eeg]).write(tmp_path / "three.edf")
    with pytest.raises(DataError, match="2 ECG leads wanted"):
        read_recording(tmp_path / "three.edf", leads=2)


@pytest.mark.filterwarnings("error")  # one sentence says it all
def test_an_edf_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    import edfio

    edfio.Edf([edfio.EdfSignal(heart(10, 250)[0], 250, label="ECG")]).write(tmp_path / "whole.edf")
    content = (tmp_path / "whole.edf").read_bytes()
    (tmp_path / "cut.edf").write_bytes(content[:-1111])
    with pytest.raises(DataError, match=r"cut\.edf: it ends after 7 of the 10 records"):
        read_recording(tmp_path / "cut.edf")
    open_end = content[:236] + b"-1      " + content[244:]  # how many was not known when it was begun
    (tmp_path / "open.edf").write_bytes(open_end)
    assert len(read_recording(tmp_path / "open.edf").signal) == 2500


def test_all_formats_agree(tmp_path: Path) -> None:
    import edfio
    import wfdb

    wave, _ = heart(20, 250)
    write_csv(tmp_path / "rec.csv", wave)
    wfdb.wrsamp(
        "rec", fs=250, units=["mV"], sig_name=["ECG"], p_signal=wave[:, None], fmt=["16"],
        write_dir=str(tmp_path),
    )  # fmt: skip
    edfio.Edf([edfio.EdfSignal(wave, 250, label="ECG")]).write(tmp_path / "rec.edf")
    edfio.Bdf([edfio.BdfSignal(wave, 250, label="ECG")]).write(tmp_path / "rec.bdf")
    for suffix in (".csv", ".hea", ".edf", ".bdf"):
        found = read_recording(tmp_path / f"rec{suffix}")
        assert (found.rate, found.duration_s) == (pytest.approx(250), pytest.approx(20))
        np.testing.assert_allclose(found.signal[:, 0], wave, atol=1e-3)


def _record(folder: Path, name: str, wave: np.ndarray) -> None:
    """A WFDB record whose header has neither checksum nor initial value, as many writers leave it."""
    folder.mkdir(exist_ok=True)
    np.round(wave * 1000).astype("<i2").tofile(folder / f"{name}.dat")
    (folder / f"{name}.hea").write_text(f"{name} 1 250 {len(wave)}\n{name}.dat 16 1000(0)/mV\n")


def _wave(store: PreparedStore, path: Path) -> np.ndarray:
    reader = ECG(leads=1, columns=("signal 1",))
    return np.array(store.get(reader, Source(path))["wave"])


def test_all_files_of_a_wfdb_record_are_known_by_their_content(tmp_path: Path) -> None:
    one, other = (heart(20, 250, seed=seed)[0] for seed in (0, 1))
    store = PreparedStore(tmp_path / "store")
    _record(tmp_path / "a", "rec", one)
    first = _wave(store, tmp_path / "a" / "rec.hea")
    _record(tmp_path / "b", "rec", other)  # somebody else's, the header the same to the byte
    assert (tmp_path / "a" / "rec.hea").read_bytes() == (tmp_path / "b" / "rec.hea").read_bytes()
    assert np.abs(_wave(store, tmp_path / "b" / "rec.hea") - first).max() > 0.1
    _record(tmp_path / "a", "rec", other)  # exported anew: the header stays
    now = _wave(store, tmp_path / "a" / "rec.hea")
    np.testing.assert_array_equal(now, _wave(store, tmp_path / "b" / "rec.hea"))
    np.testing.assert_array_equal(now, _wave(store, tmp_path / "a" / "rec.dat"))


def test_the_segments_of_a_wfdb_record_are_among_its_files(tmp_path: Path) -> None:
    for name in "ab":
        _record(tmp_path, name, heart(10, 250)[0])
    (tmp_path / "all.hea").write_text("all/4 1 250 7500\na 2500\n~ 2500\nb 2500\na 2500\n")
    names = ["all.hea", "a.hea", "a.dat", "b.hea", "b.dat"]
    assert [path.name for path in recording_files(tmp_path / "all.hea")] == names
    (tmp_path / "b.dat").unlink()
    assert [path.name for path in recording_files(tmp_path / "all.hea")] == names
    assert recording_files(tmp_path / "a.dat") == [tmp_path / "a.dat", tmp_path / "a.hea"]
    assert recording_files(tmp_path / "x.edf") == [tmp_path / "x.edf"]
    (tmp_path / "b.hea").write_text("no header at all")
    with pytest.raises(DataError, match="b.hea: cannot be read as a WFDB header"):
        recording_files(tmp_path / "all.hea")


def test_a_header_with_an_endless_line_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "r.hea").write_text("r 1 250 10\n" + "a" * 70_000 + "\n")
    (tmp_path / "r.dat").write_bytes(bytes(20))
    for ask in (formats.wfdb_files, formats.read_wfdb):
        with pytest.raises(DataError, match=r"r\.hea, line 2: too long for a WFDB header"):
            ask(tmp_path / "r.hea")
