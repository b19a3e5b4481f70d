"""fusekit's own components, registered by the same hook that plugins use."""

from __future__ import annotations

from fusekit.hookspecs import Register, hookimpl


@hookimpl
def register_components(register: Register) -> None:
    """Every component of fusekit: kind, name, reference, one line for `fusekit list`."""
    register(
        "corpus",
        "manifest",
        "fusekit.data.corpora.manifest:ManifestCorpus",
        "a CSV with one row per clip",
    )
    register(
        "corpus",
        "demo",
        "fusekit.data.corpora.demo:DemoCorpus",
        "synthetic faces, voices, ECG and transcripts with known valence and arousal",
    )
    register(
        "corpus",
        "ravdess",
        "fusekit.data.corpora.ravdess:RavdessCorpus",
        "RAVDESS: acted emotions by 24 actors, video and speech",
    )
    register(
        "corpus",
        "semaine",
        "fusekit.data.corpora.semaine:SemaineCorpus",
        "SEMAINE: conversations with four characters, traced by several raters",
    )
    register(
        "corpus",
        "sewa",
        "fusekit.data.corpora.sewa:SewaCorpus",
        "SEWA: video chats in six cultures, native folders or an AVEC release",
    )
    register(
        "corpus",
        "afew-va",
        "fusekit.data.corpora.afew_va:AfewVaCorpus",
        "AFEW-VA: clips from films as numbered pictures, no sound",
    )
    register(
        "corpus",
        "mosi",
        "fusekit.data.corpora.mosi:MosiCorpus",
        "CMU-MOSI: features of utterances, text, audio and video; binary sentiment",
    )
    register(
        "corpus",
        "ceap360vr",
        "fusekit.data.corpora.ceap360vr:CeapCorpus",
        "CEAP-360VR: head, gaze and luminance while watching 360-degree videos",
    )

    register(
        "reader",
        "face-video",
        "fusekit.data.readers.face_video:FaceVideo",
        "tracked face crops of a video, RGB",
    )
    register(
        "reader",
        "mel-spectrogram",
        "fusekit.data.readers.mel_spectrogram:MelSpectrogram",
        "mel power spectrogram in dB, cut around each step",
    )
    register(
        "reader",
        "features",
        "fusekit.data.readers.features:Features",
        "feature tables computed elsewhere: CSV, NPY, Parquet",
    )

    register(
        "detector",
        "haar",
        "fusekit.data.detectors:Haar",
        "Haar cascade inside opencv: no model file, a weak detector",
    )
    register(
        "detector",
        "yunet",
        "fusekit.data.detectors:YuNet",
        "YuNet through opencv, by the path of its model file",
    )
    register("detector", "boxes", "fusekit.data.detectors:GivenBoxes", "face boxes given by the corpus")
    register(
        "detector", "whole", "fusekit.data.detectors:Whole", "the whole frame is the face, for face crops"
    )

    register(
        "degradation",
        "picture",
        "fusekit.data.degradation:PictureDegradation",
        "blur, noise, occlusion and the like on face pictures",
    )
    register(
        "degradation",
        "spectrogram",
        "fusekit.data.degradation:SpectrogramDegradation",
        "noise, masks and the like on spectrograms",
    )

    register(
        "encoder",
        "denoising-generator",
        "fusekit.nn.generator:DenoisingGenerator",
        "the paper's G: undoes damage, its bottleneck is the latent",
    )
    register(
        "encoder",
        "patch-generator",
        "fusekit.nn.patch_generator:PatchGenerator",
        "a G that starts as a cosine transform of patches: undoes damage after a short training",
    )
    register(
        "encoder",
        "timm",
        "fusekit.nn.timm_encoder:TimmEncoder",
        "any timm model, weights from its hub or a local file",
    )
    register(
        "encoder",
        "mlp",
        "fusekit.nn.mlp:MLPEncoder",
        "hidden layers on standardised numbers, for vectors",
    )

    register(
        "quadrant",
        "discriminator",
        "fusekit.nn.discriminator:Discriminator",
        "the paper's D: real or fake, and coarse affect -> quadrant",
    )
    register(
        "quadrant",
        "classifier",
        "fusekit.nn.quadrants:QuadrantClassifier",
        "four-way classifier on the latent",
    )
    register("quadrant", "none", "fusekit.nn.quadrants:NoQuadrant", "no quadrant")

    register(
        "projector",
        "conv-pyramid",
        "fusekit.nn.projectors:ConvPyramid",
        "the paper's latent encoder: strided convolutions to one vector",
    )
    register(
        "projector",
        "linear",
        "fusekit.nn.projectors:LinearProjector",
        "pooled latent, one linear layer",
    )

    register(
        "fusion",
        "none",
        "fusekit.nn.fusion.single:SingleModality",
        "one modality, padded to the fused slot",
    )
    register("fusion", "concat", "fusekit.nn.fusion.concat:Concat", "concatenation")
    register(
        "fusion",
        "gmu",
        "fusekit.nn.fusion.gmu:GMU",
        "gated multimodal unit, for any number of modalities",
    )
    register(
        "fusion",
        "attention",
        "fusekit.nn.fusion.attention:Attention",
        "softmax-weighted mean of projections, for any number of modalities",
    )

    register("temporal", "none", "fusekit.nn.temporal.none:NoTemporal", "no memory: each step on its own")
    register("temporal", "lstm", "fusekit.nn.temporal.lstm:LSTM", "LSTM")
    register(
        "temporal",
        "luong-lstm",
        "fusekit.nn.temporal.luong:LuongLSTM",
        "LSTM with attention over its last states",
    )

    register("head", "linear", "fusekit.nn.heads:LinearHead", "one linear layer to the target dimensions")

    register("loss", "afc", "fusekit.engine.losses:AFC", "RMSE minus COR, CCC and ICC (the paper's L_afc)")
    register("loss", "ccc", "fusekit.engine.losses:CCCLoss", "1 - CCC, mean over the target dimensions")
    register("loss", "mse", "fusekit.engine.losses:MSELoss", "mean squared error")
