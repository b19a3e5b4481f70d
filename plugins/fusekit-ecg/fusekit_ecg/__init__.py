"""ECG for fusekit: readers, damage, encoders. `fusekit_ecg.plugin` is what fusekit loads."""

__version__ = "0.1.0"
