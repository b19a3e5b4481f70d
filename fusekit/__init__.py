"""fusekit: multimodal fusion architectures as recipes."""

__version__ = "0.1.0"
