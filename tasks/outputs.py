"""What earlier assemblies of a video stored: an output that is there is not made again, whatever is made beside it."""

from dataclasses import dataclass

from core.errors import ObjectMissing
from core.settings import Settings
from core.stages import Stage
from core.values import Film, Proxy, Rendition, StoredFile, Ticket, Transcoded
from storage import keys
from storage.client import ObjectStore, object_store
from storage.records import results_in


@dataclass(frozen=True)
class Outputs:
    """Every output that any result of the transcode stage names, by fingerprint; asked for one, it looks at its files."""

    store: ObjectStore
    results: tuple[Transcoded, ...]

    def rendition(self, fingerprint: str) -> Rendition | None:
        """Give a rendition that is there with its playlist."""
        for result in self.results:
            for made in result.renditions:
                if made.fingerprint == fingerprint and self._holds(made.file, made.playlist):
                    return made
        return None

    def proxy(self, fingerprint: str) -> tuple[Proxy, Transcoded] | None:
        """Give a proxy that is there, and the result it came with, which knows how long the video is."""
        for result in self.results:
            if result.proxy.fingerprint == fingerprint and self._holds(result.proxy.file):
                return result.proxy, result
        return None

    def film(self, fingerprint: str) -> Film | None:
        """Give a film that is there."""
        films = (result.film for result in self.results)
        return next((film for film in films if film.fingerprint == fingerprint and self._holds(film.file)), None)

    def _holds(self, *files: StoredFile) -> bool:
        return all(self.store.holds(file) for file in files)


def outputs_of(settings: Settings, ticket: Ticket) -> Outputs:
    """Read what was assembled of a video so far.

    Raises:
        StorageUnavailable: transient.
    """
    store = object_store(settings.storage)
    bucket = settings.storage.derived_bucket
    found: list[Transcoded] = []
    for item in store.list(bucket, keys.results_prefix(ticket.video_id, Stage.TRANSCODE)):
        if keys.is_manifest(item.key):
            try:
                found += results_in(store.read(bucket, item.key), Transcoded)
            except ObjectMissing:
                continue  # swept between the two calls
    return Outputs(store, tuple(found))
