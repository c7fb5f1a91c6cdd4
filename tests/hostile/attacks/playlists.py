"""Text that names other files and addresses for a player to open, uploaded under the name of a video."""

from collections.abc import Callable
from typing import Final

from tests.hostile.kit import Kit

Write = Callable[[Kit], bytes]
_HEAD: Final = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:10\n"
_END: Final = "\n#EXT-X-ENDLIST\n"
_MPD: Final = '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT6S" profiles="urn:mpeg:dash:profile:isoff-main:2011">'
_XML: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


def _hls(template: str) -> Write:
    """Give a media playlist around one entry."""
    return lambda kit: (_HEAD + "#EXTINF:3,\n" + _filled(template, kit) + _END).encode()


def _text(template: str, *, before: bytes = b"", encoding: str = "utf-8") -> Write:
    return lambda kit: before + _filled(template, kit).encode(encoding)


def _filled(template: str, kit: Kit) -> str:
    names = {
        "{neighbour}": str(kit.neighbour),
        "{mp4}": str(kit.neighbour.with_suffix(".mp4")),
        "{secret}": str(kit.secret),
        "{relative}": f"{kit.neighbour.parent.name}/{kit.neighbour.name}",
        "{url}": kit.url,
        "{tcp}": str(kit.tcp),
        "{udp}": str(kit.udp),
    }
    for name, value in names.items():
        template = template.replace(name, value)
    return template


_PLAIN: Final = _HEAD + "#EXTINF:3,\n{neighbour}" + _END


def _mpd(base: str, *, before: str = _XML) -> Write:
    period = f'<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">{base}</Representation></AdaptationSet></Period></MPD>'
    return _text(before + _MPD + period)


_HLS: Final[dict[str, Write]] = {
    "hls-absolute": _hls("{neighbour}"),
    "hls-relative": _hls("{relative}"),
    "hls-mp4": _hls("{mp4}"),
    "hls-file-address": _hls("file://{neighbour}"),
    "hls-http": _hls("{url}"),
    "hls-host-name": _hls("http://canary.example.org/{tcp}.ts"),
    "hls-tcp": _hls("tcp://127.0.0.1:{tcp}"),
    "hls-udp": _hls("udp://127.0.0.1:{udp}"),
    "hls-rtp": _hls("rtp://127.0.0.1:{udp}"),
    "hls-tls": _hls("https://127.0.0.1:{tcp}/x.ts"),
    "hls-subfile": _hls("subfile,,start,0,end,0,,:{neighbour}"),
    "hls-concat": _hls("concat:{neighbour}|{secret}"),
    "hls-crypto": _hls("crypto:{neighbour}"),
    "hls-cache": _hls("async:cache:{neighbour}"),
    "hls-data": _hls("data:video/mp2t;base64,R0AREA=="),
    "hls-pipe": _hls("pipe:0"),
    "hls-descriptor": _hls("/proc/self/fd/0"),
    "hls-environment": _hls("/proc/self/environ"),
    "hls-nested": _hls("{secret}"),
    "hls-master": _text(_HEAD + "#EXT-X-STREAM-INF:BANDWIDTH=1\n{neighbour}\n"),
    "hls-audio-group": _text(
        _HEAD
        + '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="{neighbour}"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\n{url}\n'
    ),
    "hls-key-file": _text(_HEAD + '#EXT-X-KEY:METHOD=AES-128,URI="{secret}"\n#EXTINF:3,\n{neighbour}' + _END),
    "hls-key-http": _text(_HEAD + '#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n#EXTINF:3,\n{neighbour}' + _END),
    "hls-map": _text(_HEAD + '#EXT-X-MAP:URI="{mp4}"\n#EXTINF:3,\n{mp4}' + _END),
    "hls-byte-range": _text(_HEAD + "#EXTINF:3,\n#EXT-X-BYTERANGE:100@0\n{secret}" + _END),
    "hls-mark": _text(_PLAIN, before=b"\xef\xbb\xbf"),
    "hls-blanks-first": _text(_PLAIN, before=b" \t\r\n\n"),
    "hls-many-blanks-first": _text(_PLAIN, before=b"\n" * 5000),
    "hls-carriage-returns": lambda kit: _filled(_PLAIN, kit).replace("\n", "\r\n").encode(),
    "hls-utf-16": _text(_PLAIN, encoding="utf-16"),
    "hls-long-comment": _text(_HEAD + "#" + "x" * 6000 + "\n#EXTINF:3,\n{neighbour}" + _END),
    "hls-without-head": _text("#EXT-X-TARGETDURATION:10\n#EXTINF:3,\n{neighbour}" + _END),
    "hls-lower-case": lambda kit: _filled(_PLAIN, kit).replace("#EXTM3U", "#extm3u").encode(),
    "m3u": _text("{neighbour}\n{secret}\n"),
}

_CONCAT: Final[dict[str, Write]] = {
    "concat-relative": _text("ffconcat version 1.0\nfile {relative}\n"),
    "concat-absolute": _text("ffconcat version 1.0\nfile '{neighbour}'\n"),
    "concat-http": _text("ffconcat version 1.0\nfile {url}\n"),
    "concat-unsafe": _text(
        "ffconcat version 1.0\nfile {neighbour}\noption safe 0\noption protocol_whitelist file,http,tcp\n"
    ),
    "concat-headless": _text("file '{neighbour}'\nfile '{secret}'\n"),
    "concat-mark": _text("ffconcat version 1.0\nfile {relative}\n", before=b"\xef\xbb\xbf"),
    "concat-comment-first": _text("# a film\nffconcat version 1.0\nfile {relative}\n"),
    "concat-endless": _text("ffconcat version 1.0\n" + "file {relative}\nduration 99999999\n" * 200),
}

_MANIFESTS: Final[dict[str, Write]] = {
    "dash-http": _mpd("<BaseURL>{url}</BaseURL>"),
    "dash-file": _mpd("<BaseURL>{mp4}</BaseURL>"),
    "dash-template": _mpd('<SegmentTemplate media="{mp4}" initialization="{mp4}" duration="1"/>'),
    "dash-mark": _mpd("<BaseURL>{url}</BaseURL>", before="\ufeff" + _XML),
    "dash-bare": _mpd("<BaseURL>{url}</BaseURL>", before=""),
    "dash-comment-first": _mpd("<BaseURL>{mp4}</BaseURL>", before=f"{_XML}<!-- {'a film ' * 900} -->\n"),
    "dash-entity-file": _mpd(
        "<BaseURL>&x;</BaseURL>", before=_XML + '<!DOCTYPE MPD [<!ENTITY x SYSTEM "file://{secret}">]>\n'
    ),
    "dash-entity-http": _mpd("<BaseURL>&x;</BaseURL>", before=_XML + '<!DOCTYPE MPD [<!ENTITY x SYSTEM "{url}">]>\n'),
    "dash-entity-bomb": _mpd(
        "<BaseURL>&c;</BaseURL>",
        before=_XML
        + f'<!DOCTYPE MPD [<!ENTITY a "{"x" * 99}"><!ENTITY b "{"&a;" * 99}"><!ENTITY c "{"&b;" * 99}">]>\n',
    ),
    "smooth": _text(_XML + '<SmoothStreamingMedia Duration="9"><StreamIndex Url="{url}"/></SmoothStreamingMedia>'),
    "smil": _text('<smil><body><video src="{url}"/></body></smil>'),
    "asx": _text('<ASX version="3.0"><Entry><Ref href="{url}"/></Entry></ASX>'),
    "xspf": _text(
        _XML + '<playlist version="1"><trackList><track><location>{url}</location></track></trackList></playlist>'
    ),
    "pls": _text("[playlist]\nFile1={url}\nNumberOfEntries=1\n"),
    "asf-reference": _text("[Reference]\nRef1={url}\n"),
    "quicktime-link": _text(
        '<?xml version="1.0"?>\n<?quicktime type="application/x-quicktime-media-link"?>\n<embed src="{url}"/>'
    ),
    "rtsp-text": _text("RTSPtext\nrtsp://127.0.0.1:{tcp}/x\n"),
    "imf-assets": _text(
        _XML + '<AssetMap xmlns="http://www.smpte-ra.org/schemas/429-9/2007/AM"><Path>{mp4}</Path></AssetMap>'
    ),
    "imf-composition": _text(
        _XML
        + '<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"><Id>x</Id></CompositionPlaylist>'
    ),
    "webm-manifest": _text("WEBM_DASH_MANIFEST {neighbour}\n"),
    "sdp": _text(
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video {udp} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    ),
    "sdp-short": _text("c=IN IP4 127.0.0.1\nm=video {udp} RTP/AVP 33\n"),
    "address": _text("{url}\n"),
    "script-avisynth": _text('DirectShowSource("{neighbour}")\n'),
    "script-vapoursynth": _text('import vapoursynth\nopen("{secret}").read()\n'),
    "filter-graph": _text("movie={neighbour}[out0]"),
    "metadata-text": _text(";FFMETADATA1\ntitle={secret}\n[CHAPTER]\nSTART=0\nEND=9\n"),
    "captions": _text('{"captions":[{"duration":2,"content":"{secret}","startTime":0,"startOfParagraph":true}]}'),
    "subtitles": _text("1\n00:00:00,000 --> 00:00:09,000\n<img src='{url}'>\n"),
    "page": _text('<!DOCTYPE html><meta http-equiv="refresh" content="0; {url}"><img src="{url}">'),
    "drawing": _text('<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{secret}"/></svg>'),
    "stream-redirect": _text("http://127.0.0.1:{tcp}/a\nhttp://127.0.0.1:{tcp}/b\n"),
}

ATTACKS: Final[dict[str, Write]] = {**_HLS, **_CONCAT, **_MANIFESTS}
