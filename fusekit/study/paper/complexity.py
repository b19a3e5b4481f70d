"""What Table 11 counts and clocks: parameters, size and time of models, as built and as the paper counts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from fusekit import build
from fusekit.contracts import DenoisingEncoder
from fusekit.engine.runtime import Runtime
from fusekit.nn.model import Model
from fusekit.recipe.schema import Recipe
from fusekit.registry import Registry

BYTES = 4  # of a float32 parameter
REPEATS = 15


def measure(recipes: Mapping[str, Recipe], registry: Registry, device: str = "auto") -> dict[str, Any]:
    """Parameters, megabytes and milliseconds of every model, untrained, one after the other.

    Time is the median of 15 repeats at batch size 1 and one step: *inference* from windows in memory to a
    prediction, *training* the forward and backward pass of everything that some stage trains (generator with
    its decoder, discriminator, predictor), without the optimiser's update.

    Args:
        recipes: `{model: recipe}`.

    Returns:
        `{model: {"paper" | "built": {"training" | "inference": {"parameters", "size_mb"}}, "time_ms":
        {"training", "inference"}, "device": ...}}`; "paper" is missing where the paper's accounting has no
        place for a model (spec 2).
    """
    found: dict[str, Any] = {}
    for name, recipe in recipes.items():
        report = build.check(recipe, registry)
        runtime = Runtime(device, recipe.train.precision)
        shapes = {m: r.raw_shape for m, r in build.build_readers(recipe, registry).items()}
        torch.manual_seed(0)
        model = build.build_model(recipe, registry, shapes).to(runtime.device)
        counts = {
            how: {phase: {"parameters": n, "size_mb": n * BYTES / 1e6} for phase, n in numbers.items()}
            for how, numbers in report.parameters.items()
            if numbers is not None
        }
        found[name] = {**counts, "time_ms": _clock(model, shapes, runtime), "device": str(runtime.device)}
    return found


def _clock(model: Model, shapes: Mapping[str, tuple[int, ...]], runtime: Runtime) -> dict[str, float]:
    device = runtime.device
    inputs = {m: torch.rand(1, 1, *shape, device=device) * 2 - 1 for m, shape in shapes.items()}
    present = torch.ones(1, 1, len(shapes), dtype=torch.bool, device=device)
    valid = torch.ones(1, 1, dtype=torch.bool, device=device)

    def infer() -> None:
        with torch.no_grad(), runtime.autocast():
            model.predict(model.latents(inputs, present), present, valid)

    def train() -> None:
        model.zero_grad(set_to_none=True)
        with runtime.autocast():
            prediction, _, _ = model.predict(model.latents(inputs, present), present, valid)
            total = prediction.float().square().sum()
            for m, branch in model.branches.items():
                if isinstance(branch.encoder, DenoisingEncoder):
                    z = branch.encoder.encode(inputs[m][0])
                    made = branch.encoder.decode(z)
                    total = total + made.float().square().mean()
                    judged = branch.quadrant(made, z).realness if branch.quadrant.critic else None
                    total = total if judged is None else total + judged.float().sum()
        total.backward()

    model.eval()
    inference = _median_ms(infer, device)
    model.train()
    return {"training": _median_ms(train, device), "inference": inference}


def _median_ms(work: Callable[[], None], device: torch.device) -> float:
    times = []
    for _ in range(REPEATS + 3):  # the first ones also warm up
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times[3:])
