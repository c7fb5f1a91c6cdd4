"""Tiny valid sources, one for each container and most codecs that are accepted; mutants are made of them."""

import subprocess
from pathlib import Path
from typing import Final

from media.tools import Tools

_PICTURES: Final = ["-f", "lavfi", "-i", "testsrc2=r=12:s=64x64:d=1"]
_SOUND: Final = ["-f", "lavfi", "-i", "sine=440:d=1"]
_H264: Final = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 6"
_AAC: Final = "-c:a aac -b:a 32k"

#: What each seed is made with, by its file name.
RECIPES: Final = {
    "h264.mp4": f"{_H264} {_AAC}",
    "h264_index_first.mp4": f"{_H264} -an -movflags +faststart",
    "h264_fragmented.mp4": f"{_H264} {_AAC} -movflags +frag_keyframe+empty_moov+default_base_moof",
    "hevc.mp4": f"-c:v libx265 -preset ultrafast -x265-params log-level=none -pix_fmt yuv420p -g 6 {_AAC}",
    "mpeg4.mp4": f"-c:v mpeg4 -g 6 {_AAC}",
    "mjpeg.mov": "-c:v mjpeg -c:a pcm_s16le",
    "prores.mov": "-c:v prores -an",
    "cinepak.mov": "-c:v cinepak -an",
    "h264.mkv": f"{_H264} {_AAC}",
    "ffv1.mkv": "-c:v ffv1 -level 3 -g 6 -c:a flac",
    "vp8.webm": "-c:v libvpx -g 6 -c:a libopus",
    "vp9.webm": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 6 -an",
    "h264.ts": f"{_H264} {_AAC}",
    "mpeg2.ts": "-c:v mpeg2video -r 25 -g 6 -c:a mp2",
    "mpeg4.avi": "-c:v mpeg4 -g 6 -c:a libmp3lame",
    "msmpeg4.avi": "-c:v msmpeg4 -g 6 -an",
    "mpeg1.mpg": "-c:v mpeg1video -r 25 -g 6 -c:a mp2",
    "vp8.ogv": "-c:v libvpx -g 6 -an",
    "flv1.flv": "-c:v flv -g 6 -an",
    "wmv2.wmv": "-c:v wmv2 -g 6 -c:a wmav2",
    "mpeg2.mxf": "-c:v mpeg2video -r 25 -g 6 -c:a pcm_s16le -ar 48000",
}


def make_seeds(tools: Tools, folder: Path, names: tuple[str, ...] = tuple(RECIPES)) -> dict[str, bytes]:
    """Make the seeds in this folder; give what they hold by name, in the order of the recipes."""
    seeds = {}
    for name in names:
        target = folder / name
        command = [str(tools.ffmpeg), "-nostdin", "-v", "error", "-y", *_PICTURES, *_SOUND, *RECIPES[name].split()]
        # Exact: without a name and a date of the muxer the same mutants come back on every machine.
        subprocess.run([*command, "-threads", "1", "-fflags", "+bitexact", str(target)], check=True, timeout=60)
        seeds[name] = target.read_bytes()
    return seeds
