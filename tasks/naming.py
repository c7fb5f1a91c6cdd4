"""Which fingerprint each stage's result has, from the task's own arguments; touches no store."""

from core import fingerprint
from core.settings import EncoderSettings, Settings
from core.stages import Stage
from core.values import DetectedShots, Rung, Ticket, Transcoded, ValidatedSource
from encoders.catalog import spec_for
from media.chunks import PlannedChunk
from media.ladder import rungs_for


def _generation(ticket: Ticket, stage: Stage) -> int:
    return ticket.generations.get(stage, 0)


def validate(settings: Settings, ticket: Ticket) -> str:
    """Name the verdict on a source version."""
    return fingerprint.validated(settings, ticket.source, _generation(ticket, Stage.VALIDATE))


def rendition(settings: Settings, ticket: Ticket, source: ValidatedSource, rung: Rung) -> str:
    """Name one rendition of a content."""
    return fingerprint.rendition(settings, source.sha256, rung, _generation(ticket, Stage.TRANSCODE))


def proxy(settings: Settings, ticket: Ticket, source: ValidatedSource) -> str:
    """Name the analysis proxy of a content."""
    return fingerprint.proxy(settings, source.sha256, _generation(ticket, Stage.TRANSCODE))


def sound(settings: Settings, ticket: Ticket, source: ValidatedSource) -> str:
    """Name the sound of a content."""
    return fingerprint.sound(settings, source.sha256, _generation(ticket, Stage.TRANSCODE))


def film(settings: Settings, ticket: Ticket, source: ValidatedSource) -> str:
    """Name the one file with pictures and sound: the largest rung's."""
    largest = rungs_for(source.facts, settings.media)[0]
    return fingerprint.film(rendition(settings, ticket, source, largest), sound(settings, ticket, source))


def chunk(settings: Settings, ticket: Ticket, source: ValidatedSource, chunk: PlannedChunk) -> str:
    """Name the pieces of a chunk."""
    outputs = [rendition(settings, ticket, source, rung) for rung in chunk.rungs]
    outputs += [proxy(settings, ticket, source)] if chunk.with_proxy else []
    return fingerprint.chunk(outputs, chunk.start_s, chunk.end_s, chunk.ffmpeg_version)


def transcode(settings: Settings, ticket: Ticket, source: ValidatedSource, **_made: object) -> str:
    """Name everything that is assembled; how it is cut into chunks does not matter."""
    rungs = rungs_for(source.facts, settings.media)
    outputs = [rendition(settings, ticket, source, rung) for rung in rungs]
    return fingerprint.transcoded([*outputs, proxy(settings, ticket, source), sound(settings, ticket, source)])


def shots(settings: Settings, ticket: Ticket, transcoded: Transcoded) -> str:
    """Name the shots and scenes on a proxy."""
    return fingerprint.shots(settings, transcoded.proxy.fingerprint, _generation(ticket, Stage.SHOTS))


def stills(settings: Settings, ticket: Ticket, transcoded: Transcoded, detected: DetectedShots) -> str:
    """Name the posters and contact sheet of a set of scenes."""
    proxy_name = transcoded.proxy.fingerprint
    return fingerprint.stills(settings, proxy_name, detected.fingerprint, _generation(ticket, Stage.STILLS))


def embed(
    settings: Settings, ticket: Ticket, transcoded: Transcoded, detected: DetectedShots, encoder: EncoderSettings
) -> str:
    """Name the vectors that an encoder gives to a set of scenes."""
    return fingerprint.embedded(
        settings,
        spec_for(encoder),
        transcoded.proxy.fingerprint,
        detected.fingerprint,
        _generation(ticket, Stage.EMBED),
    )
