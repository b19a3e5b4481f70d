"""What fusekit loads: the hook, and the cases of the conformance kit. Imports neither torch nor numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusekit.hookspecs import Register, hookimpl

if TYPE_CHECKING:
    from fusekit.testing import Case


@hookimpl
def register_components(register: Register) -> None:
    """Readers, damage and networks for ECG."""
    register("reader", "ecg", "fusekit_ecg.wave:ECG", "ECG from CSV, WFDB or EDF: the wave before each step")
    register(
        "reader",
        "heart-rate-variability",
        "fusekit_ecg.variability:HeartRateVariability",
        "heart rate and its variability before each step, of an ECG",
    )
    register(
        "degradation",
        "ecg",
        "fusekit_ecg.damage:ECGDegradation",
        "baseline wander, mains hum, electrode motion and the like on ECG waves",
    )
    register(
        "encoder",
        "ecg-resnet1d",
        "fusekit_ecg.resnet:ECGResNet1d",
        "residual network over waves, to a vector",
    )
    register(
        "encoder",
        "ecg-generator",
        "fusekit_ecg.generator:ECGGenerator",
        "denoising generator over waves, its bottleneck is the latent",
    )
    register(
        "quadrant",
        "ecg-discriminator",
        "fusekit_ecg.discriminator:ECGDiscriminator",
        "real or fake wave, and coarse affect -> quadrant",
    )
    register(
        "projector",
        "conv1d-pyramid",
        "fusekit_ecg.projector:Conv1dPyramid",
        "strided convolutions over time to one vector",
    )


def conformance_cases() -> list[Case]:
    """Small cases of all components, for `fusekit.testing`."""
    from fusekit_ecg.cases import cases

    return cases()
