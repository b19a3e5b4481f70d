"""Several processes as one command: who speaks, whose exit code counts, who is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import IO

import pytest
import torch

from fusekit import launch
from fusekit.errors import DeviceError, LostProcessError
from fusekit.signals import Stopped, exit_code

SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The words of the command are the programs of the processes; all of them, to look at afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def start(
        words: Sequence[str], environment: dict[str, str], rank: int, said: IO[bytes] | None
    ) -> subprocess.Popen[bytes]:
        environment = {**environment, "RANK": str(rank)}
        command = [sys.executable, "-c", words[rank]]
        started.append(
            subprocess.Popen(command, env=environment, stdout=said, stderr=said, start_new_session=True)
        )
        return started[-1]

    monkeypatch.setattr(launch, "_start", start)
    monkeypatch.setattr(launch, "GRACE_S", 0.3)
    return started


def run(*programs: str) -> int:
    return launch.launch(len(programs), programs, "cpu")


def test_each_process_knows_its_place(processes: list[subprocess.Popen[bytes]]) -> None:
    check = (
        "import os, sys; e = os.environ; own = [e[k] for k in ('RANK', 'WORLD_SIZE', 'LOCAL_WORLD_SIZE', "
        "'MASTER_ADDR', 'ACCELERATE_USE_CPU')]; int(e['MASTER_PORT']), int(e['OMP_NUM_THREADS']); "
        "sys.exit(0 if own == ['{}', '2', '2', '127.0.0.1', 'true'] else 7)"
    )
    assert run(check.format(0), check.format(1)) == 0
    assert not launch.is_worker()


@pytest.mark.parametrize(
    ("programs", "code"),
    [
        (("raise SystemExit(2)", "raise SystemExit(2)"), 2),
        (("raise SystemExit(2)", "raise SystemExit(1)"), 2),  # the first is the one that speaks
        (("pass", "raise SystemExit(3)"), 3),
        (("raise SystemExit(2)", SLEEP), 2),
        ((SLEEP, "raise SystemExit(1)"), 1),
        ((SLEEP, "import os; os.kill(os.getpid(), 9)"), 137),
    ],
)
def test_the_exit_code(
    processes: list[subprocess.Popen[bytes]], programs: tuple[str, str], code: int
) -> None:
    assert run(*programs) == code
    assert all(p.poll() is not None for p in processes)  # nobody is left behind


def test_another_process_is_heard_only_if_the_first_has_nothing_to_say(
    processes: list[subprocess.Popen[bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    run("raise SystemExit(2)", "import sys; sys.exit('the same')")
    assert capsys.readouterr().err == ""
    run("pass", "import sys; sys.exit('out of memory')")
    assert capsys.readouterr().err == "out of memory\n"
    run("pass", "print('quiet')")
    assert capsys.readouterr() == ("", "")


def test_a_process_that_the_system_ended_is_named(
    processes: list[subprocess.Popen[bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    lost = f"import time; time.sleep(0.2); raise SystemExit({LostProcessError.exit_code})"
    assert run(lost, "import os; os.kill(os.getpid(), 9)") == 137
    said = capsys.readouterr().err
    assert said.startswith(
        "fusekit: process 2 of 2 was ended by SIGKILL, as the system does to a process when"
    )
    assert "fusekit train --resume" in said
    assert run(lost, "import sys; sys.exit('out of memory')") == 1  # its fault, not that of who lost it
    assert capsys.readouterr().err == "out of memory\n"


def after(seconds: float, number: signal.Signals) -> None:
    def send() -> None:
        time.sleep(seconds)
        os.kill(os.getpid(), number)

    threading.Thread(target=send, daemon=True).start()


def test_ctrl_c_is_passed_on_once_and_waited_for(processes: list[subprocess.Popen[bytes]]) -> None:
    # The second takes longer than the grace of a fault: it has something to save.
    save = "import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: time.sleep({})\nraise SystemExit(130)"
    after(1.0, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(save.format(0), save.format(0.8))
    assert [p.returncode for p in processes] == [130, 130]


@pytest.mark.usefixtures("in_foreground")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminated_parent_lets_its_processes_save(
    processes: list[subprocess.Popen[bytes]], number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    save = (
        "import signal, sys, time\n"
        "signal.signal({0}, lambda *_: (time.sleep(0.5), sys.exit(128 + {0})))\ntime.sleep(60)"
    ).format(int(number))
    after(1.0, number)
    after(1.2, number)  # schedulers repeat themselves
    with pytest.raises(Stopped) as ended:
        run(save, save)
    assert exit_code(ended.value) == 128 + number
    assert [p.returncode for p in processes] == [128 + number] * 2
    assert signal.getsignal(number) == before


def test_processes_of_a_suite_in_the_background_hear_ctrl_c(
    processes: list[subprocess.Popen[bytes]],
) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        after(1.0, signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            run(SLEEP, SLEEP)
    finally:
        signal.signal(signal.SIGINT, before)
    assert all(p.returncode in (1, 130, -signal.SIGINT) for p in processes)  # as an interrupted Python ends


def test_fewer_devices_than_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for device in ("cuda", "auto"):
        with pytest.raises(DeviceError, match="--devices 2 was asked for, but torch sees 1 CUDA"):
            launch.launch(2, ["train"], device)
