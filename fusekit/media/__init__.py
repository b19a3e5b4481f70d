"""Media files become pictures with time stamps and mono sound, on one clock.

Time zero of a file is the earliest start among its video and its sound track, as players have it; negative
stamps (encoder priming that decoders drop) do not move it. Both tracks are placed on that clock, so sound
stays in step with the picture whatever offsets the container holds. Video is decoded from front to back only:
seeking misses frames on long groups of pictures. Sound is resampled by soxr "HQ" (linear phase, no delay,
single-threaded, the resampler behind `librosa.load`), so that the same file gives the same samples
everywhere.

A folder of numbered pictures is a video too, without sound or a clock of its own: whoever names it says when
its pictures are (`step_s`).
"""

from fusekit.media.audio import audio_blocks, read_audio
from fusekit.media.probe import MediaInfo, Track, probe
from fusekit.media.video import Picture, read_video

__all__ = ["MediaInfo", "Picture", "Track", "audio_blocks", "probe", "read_audio", "read_video"]
