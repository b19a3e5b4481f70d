"""The kinds of media that are compared with FFmpeg's own programs."""

from __future__ import annotations

from dataclasses import replace

from media_files import MATRICES, Made, cut, hurt, laid, twice, unfilled

X264 = "-c:v libx264 -preset ultrafast -tune zerolatency"
BFRAMES = "-c:v libx264 -preset veryfast -bf 2 -g 12"
VARIED = "-vf setpts=N*N/900/TB+N/40/TB -vsync vfr"
HELD = "-i {} -c copy -bsf:v setts=duration=if(eq(N\\,39)\\,40000\\,DURATION)"

QUIET = "-filter_complex [1:a]volume=0.02,atempo=1.5[q] -map 0:v -map [q] -map 1:a -c:a aac"
SMALL = "-filter_complex [0:v]split[a][b];[a]negate,scale=48:32[s] -map [s] -map [b] -map 1:a"
COVER = (
    "-i {} -f lavfi -i color=s=64x48:d=0.04 -map 0 -map 1 -c:a copy -c:v mjpeg -pix_fmt yuvj420p "
    "-disposition:v attached_pic"
)
FILMS = (
    Made("plain", "mp4", f"{X264} -c:a aac"),
    Made("bframes", "mp4", f"{BFRAMES} -c:a aac"),
    Made("quicktime", "mov", f"{BFRAMES} -c:a pcm_s16le"),
    Made("matroska", "mkv", f"{BFRAMES} -c:a aac"),
    Made("transport", "ts", f"{BFRAMES} -c:a aac"),
    Made("bluray", "m2ts", f"{BFRAMES} -c:a ac3"),
    Made("flash", "flv", f"{BFRAMES} -c:a aac"),
    Made("avi", "avi", "-c:v mpeg4 -c:a libmp3lame"),
    Made("avi-mjpeg", "avi", "-c:v mjpeg -pix_fmt yuvj420p -c:a pcm_s16le"),
    Made("mpeg1", "mpg", "-c:v mpeg1video -c:a mp2"),
    Made("mpeg2", "vob", "-c:v mpeg2video -c:a ac3"),
    Made("webm-vp8", "webm", "-c:v libvpx -deadline realtime -c:a libvorbis"),
    Made("webm-vp9", "webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus", rate=48000),
    Made("lossless", "mkv", "-c:v ffv1 -c:a flac"),
    Made("theora", "ogv", "-c:v libtheora -c:a libvorbis"),
    Made("windows", "wmv", "-c:v wmv2 -c:a wmav2"),
    Made("phone", "3gp", "-c:v h263 -c:a aac", size="128x96"),
    Made("prores", "mov", "-c:v prores_ks -c:a pcm_s24le"),
    Made("broadcast", "mxf", "-c:v mpeg2video -c:a pcm_s16le", rate=48000),
    Made("nut", "nut", "-c:v mpeg4 -c:a libmp3lame"),
    Made("fragments", "mp4", f"{BFRAMES} -c:a aac -movflags frag_keyframe+empty_moov"),
    Made("quick-start", "mp4", f"{BFRAMES} -c:a aac -movflags faststart"),
    Made("live", "mkv", f"{X264} -c:a aac -live 1"),
    Made("ntsc", "mp4", f"{BFRAMES} -c:a aac", fps="30000/1001"),
    Made("slow", "mkv", f"{X264} -c:a aac", fps="7.5"),
    Made("fast", "mp4", f"{X264} -c:a aac", fps="60"),
    Made("odd-size", "mkv", "-c:v ffv1 -c:a pcm_s16le", size="67x51"),
    Made("grey", "mkv", "-c:v ffv1 -pix_fmt gray -c:a pcm_s16le"),
    Made("fine-colour", "mp4", f"{X264} -pix_fmt yuv444p -c:a aac"),
    Made("ten-bit", "mkv", "-c:v ffv1 -pix_fmt yuv420p10le -c:a pcm_s16le"),
    Made("varied", "mp4", f"{VARIED} {X264} -c:a aac"),
    Made("varied", "mkv", f"{VARIED} {BFRAMES} -c:a aac"),
    Made("varied", "webm", f"{VARIED} -c:v libvpx -deadline realtime -c:a libvorbis"),
    Made("silent", "mp4", f"{X264}", sound=False),
    Made("animation", "gif", "", sound=False),
    Made("bare", "h264", f"{X264}", sound=False),
    Made("late-sound", "mp4", f"{X264} -c:a aac", before="-itsoffset 0.4"),
    Made("late-sound", "mkv", f"{X264} -c:a flac", before="-itsoffset 0.4"),
    Made("late-sound", "ts", f"{X264} -c:a aac", before="-itsoffset 0.4"),
    Made("late-sound", "mov", f"{X264} -c:a pcm_s16le", before="-itsoffset 0.4"),
    Made("late-film", "mp4", f"{X264} -c:a aac", before="-itsoffset 0.4", late=0),
    Made("late-film", "mkv", f"{X264} -c:a aac", before="-itsoffset 0.4", late=0),
    Made("late-film", "ts", f"{X264} -c:a aac", before="-itsoffset 0.4", late=0),
    Made("both-late", "ts", f"{X264} -c:a aac -output_ts_offset 700"),
    Made("both-late", "mkv", f"{X264} -c:a aac -output_ts_offset 5"),
    *(
        Made(f"laid-{name}", "mp4", f"{X264}", sound=False, seconds=0.4, change=laid(name))
        for name in MATRICES
    ),
    Made("from-the-middle", "mp4", f"{X264} -g 12 -c:a aac", again="-ss 0.7 -i {} -c copy"),
    Made("from-the-middle", "mkv", f"{X264} -g 12 -c:a aac", again="-ss 0.7 -i {} -c copy"),
    Made("held", "mp4", f"{X264}", sound=False, again=HELD),
    Made("interlaced", "mpg", "-c:v mpeg2video -flags +ildct+ilme -c:a mp2"),
    Made("hevc", "mp4", "-c:v libx265 -preset ultrafast -x265-params log-level=none:pools=none -c:a aac"),
    Made("two-sounds", "mp4", f"{X264} {QUIET} -disposition:a:0 0 -disposition:a:1 default"),
    Made("two-sounds", "mkv", f"{X264} {QUIET} -disposition:a:0 0 -disposition:a:1 default"),
    Made("two-sounds-wide", "mkv", f"{X264} {QUIET} -disposition:a 0 -ac:a:1 2"),
    Made("two-films", "mkv", f"{X264} {SMALL} -disposition:v:0 0 -disposition:v:1 default -c:a flac"),
    Made("two-films-large", "mkv", f"{X264} {SMALL} -disposition:v 0 -c:a flac"),
    Made("cover", "m4a", "-c:a aac", film=False, again=COVER),
)
SOUNDS = (
    *(
        Made(f"wav-{codec}", "wav", f"-c:a {codec}", film=False)
        for codec in (
            *("pcm_s16le", "pcm_u8", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"),
            *("pcm_alaw", "pcm_mulaw", "adpcm_ms", "adpcm_ima_wav"),
        )
    ),
    *(Made(f"rate-{rate}", "wav", "", film=False, rate=rate) for rate in (8000, 11025, 48000, 96000)),
    Made("six", "wav", "-ac 6", film=False),
    Made("four", "flac", "-ac 4", film=False),
    Made("flac", "flac", "", film=False),
    Made("flac24", "flac", "-sample_fmt s32", film=False),
    Made("mp3", "mp3", "", film=False),
    Made("mp3-varied", "mp3", "-q:a 5", film=False),
    Made("mp3-no-note", "mp3", "-q:a 5 -write_xing 0", film=False),
    Made("mp3-low", "mp3", "-ar 16000 -b:a 24k", film=False),
    Made("mp2", "mp2", "", film=False),
    Made("ac3", "ac3", "", film=False),
    Made("adts", "aac", "", film=False),
    Made("aac", "m4a", "", film=False),
    Made("alac", "m4a", "-c:a alac", film=False),
    Made("vorbis", "ogg", "-c:a libvorbis", film=False),
    Made("opus", "opus", "-c:a libopus", film=False, rate=48000),
    Made("flac-ogg", "ogg", "-c:a flac", film=False),
    Made("aiff", "aiff", "", film=False),
    Made("au", "au", "", film=False),
    Made("caf", "caf", "", film=False),
    Made("w64", "w64", "", film=False),
    Made("rf64", "wav", "-rf64 always", film=False),
    Made("wma", "wma", "", film=False),
    Made("wavpack", "wv", "", film=False),
    Made("tta", "tta", "", film=False),
    Made("mka", "mka", "-c:a libopus", film=False, rate=48000),
    Made("lying-mp3", "wav", "-c:a libmp3lame -f mp3", film=False),
    Made("lying-m4a", "mp3", "-c:a aac -f mp4", film=False),
    Made("lying-ogg", "flac", "-c:a libvorbis -f ogg", film=False),
    Made("crashed", "wav", "", film=False, change=unfilled(0)),
    Made("piped", "wav", "", film=False, change=unfilled(0xFFFF_FFFF)),
)
JOINED = (
    Made("joined", "ts", f"{X264} -c:a aac", change=twice),
    Made("joined", "mpg", "-c:v mpeg1video -c:a mp2", change=twice),
    Made("joined", "ogv", "-c:v libtheora -c:a libvorbis", change=twice),
    Made("joined", "h264", X264, sound=False, change=twice),
    Made("joined", "mp3", "-q:a 5 -write_xing 0", film=False, change=twice),
    Made("joined-notes", "mp3", "", film=False, change=twice),
    Made("joined", "aac", "", film=False, change=twice),
    Made("joined", "ac3", "", film=False, change=twice),
    Made("chain", "ogg", "-c:a libvorbis", film=False, change=twice),
    Made("chain", "opus", "-c:a libopus", film=False, rate=48000, change=twice),
    Made("chain-flac", "ogg", "-c:a flac", film=False, change=twice),
)
"""The same twice: it is read twice."""
CHANGES = (
    (Made("rate-1", "ts", "-c:a aac", film=False), Made("rate-2", "ts", "-c:a aac", film=False, rate=32000)),
    (Made("one", "ts", "-c:a aac", film=False), Made("two", "ts", "-c:a aac -ac 2", film=False)),
    (Made("mpeg-1", "mp3", "", film=False), Made("mpeg-2", "mp3", "", film=False, rate=22050)),
    (Made("mono", "mp3", "", film=False), Made("stereo", "mp3", "-ac 2", film=False)),
)
"""Joined, so that rate or channels change on the way."""
FIRST_ONLY = tuple(
    Made("joined", suffix, coding, film=film, change=twice)
    for suffix, coding, film in (
        *(("wav", "", False), ("aiff", "", False), ("w64", "", False), ("au", "", False), ("caf", "", False)),
        *(
            ("flac", "", False),
            ("avi", "-c:v mpeg4 -c:a libmp3lame", True),
            ("flv", f"{X264} -c:a aac", True),
        ),
        *(("mp4", f"{X264} -c:a aac", True), ("mkv", f"{X264} -c:a aac", True)),
        ("wmv", "-c:v wmv2 -c:a wmav2", True),
    )
)
"""The same twice, of which a decoder sees the first alone."""
CUT = tuple(
    Made(f"cut-{name}", suffix, coding, film=film, change=cut(0.6))
    for name, suffix, coding, film in (
        ("mp4", "mp4", f"{X264} -c:a aac", True),
        ("quick-start", "mp4", f"{X264} -c:a aac -movflags faststart", True),
        ("fragments", "mp4", f"{X264} -c:a aac -movflags frag_keyframe+empty_moov", True),
        ("mov", "mov", f"{X264} -c:a pcm_s16le", True),
        ("mkv", "mkv", f"{X264} -c:a aac", True),
        ("live", "mkv", f"{X264} -c:a aac -live 1", True),
        ("webm", "webm", "-c:v libvpx -deadline realtime -c:a libvorbis", True),
        ("avi", "avi", "-c:v mpeg4 -c:a libmp3lame", True),
        ("mpg", "mpg", "-c:v mpeg1video -c:a mp2", True),
        ("ts", "ts", f"{X264} -c:a aac", True),
        ("flv", "flv", f"{X264} -c:a aac", True),
        ("wmv", "wmv", "-c:v wmv2 -c:a wmav2", True),
        ("ogv", "ogv", "-c:v libtheora -c:a libvorbis", True),
        ("wav", "wav", "", False),
        ("rf64", "wav", "-rf64 always", False),
        ("w64", "w64", "", False),
        ("aiff", "aiff", "", False),
        ("au", "au", "", False),
        ("caf", "caf", "", False),
        ("flac", "flac", "", False),
        ("mp3", "mp3", "", False),
        ("ogg", "ogg", "-c:a libvorbis", False),
        ("opus", "opus", "-c:a libopus", False),
        ("m4a", "m4a", "", False),
        ("tta", "tta", "", False),
        ("wavpack", "wv", "", False),
    )
)
HURT = tuple(
    replace(made, name=f"hurt-{made.name}", change=hurt) for made in (*FILMS[:22:2], *SOUNDS[8:34:3])
)
