"""What media processes may open and decode: one allow-list for ffprobe and ffmpeg alike.

A playlist that calls itself x.mp4 makes an unguarded ffmpeg open other files and the network.
"""

from pathlib import Path
from typing import Final

from core.settings import LimitSettings
from media.layers import LayerName, is_on

#: Demuxers that read one file and nothing else, by ffmpeg's names.
DEMUXERS: Final = ("mov", "matroska", "mpegts", "mpeg", "avi", "ogg", "flv", "asf", "mxf")

#: Decoders of pictures; some codecs have several.
VIDEO_DECODERS: Final = (
    "h264", "hevc", "vp8", "libvpx", "vp9", "libvpx-vp9", "av1", "libdav1d", "libaom-av1",
    "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4", "h263", "flv", "vp6", "vp6f",
    "mjpeg", "prores", "dnxhd", "cinepak", "theora", "wmv1", "wmv2", "wmv3", "vc1", "dvvideo", "svq1", "svq3",
    "ffv1", "huffyuv", "ffvhuff", "utvideo",
)  # fmt: skip

#: Decoders of sound.
AUDIO_DECODERS: Final = (
    "aac", "aac_fixed", "aac_latm", "mp2", "mp2float", "mp3", "mp3float", "ac3", "ac3_fixed", "eac3", "opus", "libopus",
    "vorbis", "libvorbis", "flac", "alac", "amrnb", "amrwb", "wmav1", "wmav2", "wmapro", "dca", "nellymoser",
    "adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt", "adpcm_swf", "gsm_ms", "qdm2",
    "pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be",
    "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_alaw", "pcm_mulaw", "pcm_bluray", "pcm_dvd",
    "truehd", "mlp", "wmalossless", "wavpack", "tta", "speex", "s302m", "g726", "g726le", "adpcm_yamaha",
    "pcm_s8_planar", "pcm_s16le_planar", "pcm_s16be_planar", "pcm_s24le_planar", "pcm_s32le_planar",
    "qcelp", "evrc", "gsm", "ilbc", "g722", "g723_1", "mace3", "mace6", "wmavoice", "als",
)  # fmt: skip

#: Decoders of streams that we never map: subtitles and cover art. ffprobe opens every stream and gives up
#: on the first that it may not open.
_SIDE_DECODERS: Final = (
    "mov_text", "srt", "subrip", "ass", "ssa", "webvtt", "text", "dvdsub", "dvbsub", "pgssub", "xsub", "cc_dec",
    "libzvbi_teletextdec", "png", "bmp", "gif", "webp", "tiff",
)  # fmt: skip

#: Codecs whose decoder has another name, as ffprobe calls them.
_CODECS_BY_OTHER_NAME: Final = {
    "msmpeg4v3": "msmpeg4", "flv1": "flv", "dts": "dca", "amr_nb": "amrnb", "amr_wb": "amrwb", "adpcm_g722": "g722",
    "adpcm_g726": "g726", "adpcm_g726le": "g726le", "mp4als": "als",
}  # fmt: skip

#: Decoders round a picture up to whole blocks before they hold it against the limit, 64 at most.
_BLOCK_PX: Final = 64
#: Largest single block of memory a media process may ask for; a frame within the limits needs a tenth.
_MAX_ALLOC_BYTES: Final = 512 << 20


def accepts_codec(codec: str) -> bool:
    """Whether a codec, by ffprobe's name, may be decoded."""
    name = _CODECS_BY_OTHER_NAME.get(codec, codec)
    return name in VIDEO_DECODERS or name in AUDIO_DECODERS


def guard_args(limits: LimitSettings) -> list[str]:
    """Build the options that stand before every input, for ffprobe and ffmpeg."""
    options = {
        # Only the file itself: no network, no pipe, no data: address, nothing joined or encrypted.
        LayerName.PROTOCOLS: ["-protocol_whitelist", "file"],
        LayerName.DEMUXERS: ["-format_whitelist", ",".join(DEMUXERS)],
        LayerName.CODECS: ["-codec_whitelist", ",".join((*VIDEO_DECODERS, *AUDIO_DECODERS, *_SIDE_DECODERS))],
        LayerName.SIZES: [
            "-max_alloc", str(_MAX_ALLOC_BYTES),
            "-max_streams", str(limits.max_streams),
            # Refused before memory is taken: 16000 x 16000 would need 2.3 GB.
            "-max_pixels", str((limits.max_width + _BLOCK_PX) * (limits.max_height + _BLOCK_PX)),
        ],
    }  # fmt: skip
    return [option for layer, words in options.items() if is_on(layer) for option in words]


def own_input_args(path: Path) -> list[str]:
    """Build the options and the name of an input that we made ourselves: MP4, nothing else opened."""
    return ["-protocol_whitelist", "file", "-format_whitelist", "mov", "-i", file_arg(path)]


def file_arg(path: Path) -> str:
    """Name an input: absolute and with its protocol, so that no name can be read as an option or an address."""
    return f"file:{path.absolute()}"
