"""Ctrl-C, SIGTERM and SIGHUP: what asks a process to stop, and lets it save first.

`kill`, a scheduler whose time is up and a closed terminal are told apart by the exit code alone, 128 + the
signal's number. A signal that a process inherits as ignored (`nohup` does so with SIGHUP) stays ignored;
SIGINT alone does not, as shells ignore it for whatever they start in the background.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
PATIENT = "FUSEKIT_PATIENT"
"""Set for a process that another one of ours starts and stops."""


class Stopped(KeyboardInterrupt):
    """A process was asked to stop.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.number = number


def exit_code(error: KeyboardInterrupt) -> int:
    """128 + the signal's number, as shells say it: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
    return 128 + (error.number if isinstance(error, Stopped) else signal.SIGINT)


def for_worker(environment: dict[str, str]) -> dict[str, str]:
    """The environment of a process that this one starts, and stops by a signal: `begin_worker` reads it."""
    return environment | {PATIENT: "1"}


def begin_worker() -> None:
    """In such a process, first of all: SIGINT is Ctrl-C's again, whatever it inherited, and a second one does
    not cut short what the first began, as a scheduler may send one beside the starter's own."""
    if PATIENT in os.environ:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def raised() -> Iterator[None]:
    """Each signal raises `Stopped` where the block is; outside the main thread nothing changes."""

    def end(number: int, frame: Any) -> None:
        _leave_terminal(number)
        raise Stopped(number)

    with _handled(end):
        yield


@contextmanager
def deferred() -> Iterator[list[int]]:
    """The first signal only adds its number to the list, so that what must not be cut short can end. A second
    Ctrl-C stops at once; other signals do not come by impatience, and change nothing more."""
    asked: list[int] = []

    def mark(number: int, frame: Any) -> None:
        _leave_terminal(number)
        asked.append(number)
        if PATIENT not in os.environ:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    with _handled(mark):
        yield asked


@contextmanager
def _handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    before: dict[int, Any] = {}
    try:
        for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
            if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    except ValueError:  # not the main thread: whoever embeds us handles signals
        yield
        return
    try:
        yield
    finally:
        for number, kept in before.items():
            signal.signal(number, kept)


def _leave_terminal(number: int) -> None:
    """After a terminal is closed, every word to it is a fault, which would come before the saving."""
    if number != getattr(signal, "SIGHUP", None):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for handle in (1, 2):
        if stat.S_ISCHR(os.fstat(handle).st_mode) and not os.isatty(handle):
            os.dup2(nowhere, handle)
    os.close(nowhere)
