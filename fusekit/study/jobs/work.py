"""One worker of a study: a process that takes runs as lines of JSON, trains and scores each, and answers.

    -> {"model": ..., "recipe": ..., "folder": ..., ...}          a `Job`
    <- {"seconds": 12.3, "ccc": 0.51}                             done
    <- {"fault": "what the user can mend"}                        not done, the worker goes on
    <- {"interrupted": true}                                      asked to stop: its state is saved

What training says goes to stderr, which the parent sends to a file. `python -m fusekit.study.jobs.work DEVICE
[PLUGIN...]` starts one.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from fusekit import plugins
from fusekit.errors import FusekitError
from fusekit.recipe.load import load
from fusekit.registry import Registry
from fusekit.signals import Stopped, begin_worker, deferred, raised
from fusekit.study.jobs.plan import Job


def main(device: str, files: list[str]) -> None:
    """Until stdin ends."""
    # Whatever prints shall not get between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    registry, _ = plugins.load(files)
    for line in sys.stdin:
        job = json.loads(line)
        job = Job(**{**job, "changes": tuple(job["changes"]), "branches": tuple(job["branches"])})
        sys.stderr.write(f"\n== {job}\n")
        answer: dict[str, Any]
        try:
            answer = work(job, registry, device, files)
        except FusekitError as error:
            answer = {"fault": str(error)}
        except KeyboardInterrupt:
            answer = {"interrupted": True}
        answers.write(json.dumps(answer) + "\n")
        if "interrupted" in answer:
            return


def work(job: Job, registry: Registry, device: str, files: list[str]) -> dict[str, Any]:
    """Train a run, or go on with it, and read its test labels once; seconds and mean test CCC.

    Raises:
        FusekitError: what the user can mend. Stopped: after Ctrl-C, SIGTERM or SIGHUP, its state saved.
    """
    from fusekit.runs import open_run, train
    from fusekit.study.assess import assess

    began, folder = time.monotonic(), Path(job.folder)
    if not (folder / "checkpoints" / "best.safetensors").is_file():
        train(
            load(job.recipe, job.changes, registry),
            registry,
            run_dir=folder,
            device=device,
            resume=(folder / "recipe.yaml").is_file(),
            plugins=files,
            branches_from=[Path(run) for run in job.branches],
        )
    with deferred() as interrupted:  # cut short, it would have to read the test labels again
        metrics = assess(open_run(folder, registry, device), final=True, draw=False)
    if interrupted:
        raise Stopped(interrupted[0])
    return {"seconds": time.monotonic() - began, "ccc": metrics["test"]["ccc"]["mean"]}


if __name__ == "__main__":
    begin_worker()
    with suppress(KeyboardInterrupt), raised():  # between two runs there is nothing to save
        main(sys.argv[1], sys.argv[2:])
