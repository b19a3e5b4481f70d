"""Words as a modality of fusekit: transcripts and sentences, and networks that read them."""

__version__ = "0.1.0"
