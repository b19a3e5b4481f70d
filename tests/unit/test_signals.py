"""Asked to stop: which signals count, which stay ignored, and what a second one does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import fusekit
from fusekit.signals import PATIENT, Stopped, begin_worker, deferred, exit_code, for_worker, raised

ALL = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Handlers of a program in the foreground, and afterwards those of the suite."""
    before = {number: signal.getsignal(number) for number in ALL}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [*zip(ALL, (130, 143, 129), strict=True)])
def test_the_exit_code_tells_the_signal(number: signal.Signals, code: int) -> None:
    with pytest.raises(Stopped) as stop, raised():
        signal.raise_signal(number)
    assert stop.value.number == number
    assert exit_code(stop.value) == code
    assert exit_code(KeyboardInterrupt()) == 130


@pytest.mark.parametrize("number", ALL)
def test_the_first_signal_is_only_noted(number: signal.Signals) -> None:
    handlers = [signal.getsignal(n) for n in ALL]
    with deferred() as asked:
        assert asked == []
        signal.raise_signal(number)
        assert asked == [number]
    assert [signal.getsignal(n) for n in ALL] == handlers


@pytest.mark.parametrize("first", ALL)
def test_a_second_ctrl_c_stops_at_once_and_a_second_kill_does_not(first: signal.Signals) -> None:
    with deferred() as asked:
        for number in (first, signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(number)
        assert asked == [first, signal.SIGTERM, signal.SIGHUP]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_nohup_is_respected_and_the_background_is_no_reason_to_be_deaf() -> None:
    for number in ALL:
        signal.signal(number, signal.SIG_IGN)
    with deferred() as asked:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        assert asked == []
        signal.raise_signal(signal.SIGINT)
        assert asked == [signal.SIGINT]
    assert [signal.getsignal(number) for number in ALL] == [signal.SIG_IGN] * 3


def test_a_worker_hears_ctrl_c_whatever_it_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    monkeypatch.delenv(PATIENT, raising=False)
    begin_worker()  # no worker
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    monkeypatch.setenv(PATIENT, for_worker({})[PATIENT])
    begin_worker()
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    with deferred() as asked:  # from its starter, and from a scheduler that asks all processes
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert asked == [signal.SIGINT] * 2


TALKS = """
import sys, time
from fusekit.signals import Stopped, exit_code, raised
try:
    with raised():
        print("ready", file=sys.stderr, flush=True)
        open(sys.argv[1], "w").close()
        time.sleep(60)
except Stopped as stop:
    print("saved", flush=True)
    print("interrupted", file=sys.stderr, flush=True)
    sys.exit(exit_code(stop))
"""


def test_after_a_terminal_is_closed_nobody_speaks_to_it(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    path = str(Path(fusekit.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", TALKS, str(tmp_path / "ready")],
        stdout=slave,
        stderr=slave,
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,
    )
    os.close(slave)
    end = time.monotonic() + 20
    while not (tmp_path / "ready").exists() and time.monotonic() < end:
        time.sleep(0.01)
    os.close(master)
    process.send_signal(signal.SIGHUP)
    assert process.wait(20) == 129
