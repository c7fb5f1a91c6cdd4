"""One resident encoder per process, space and device: loaded when first asked for, then kept."""

from threading import Lock
from typing import Final

from core.errors import MissingDependency
from core.memory import busy_when_out_of_memory
from core.settings import EncoderSettings
from core.threads import share_processors
from core.values import EncoderSpec
from encoders import catalog, health
from encoders.confidence import Yardstick
from encoders.folder_identity import FOLDER_REVISION
from encoders.protocol import Encoder


class _Place:
    """Where one encoder is kept. Its lock is held while it is loaded, so that who asks for another one never waits."""

    def __init__(self, source: str) -> None:
        self.lock = Lock()
        #: What the settings called it: a folder or hub id.
        self.source = source
        self.encoder: Encoder | None = None
        self.yardstick: Yardstick | None = None


#: Held for a moment, never while anything is loaded.
_lock: Final = Lock()
_places: Final[dict[tuple[EncoderSpec, str], _Place]] = {}
#: Names of what was loaded since this process began, in order: one that stays resident stands here once.
_loaded: Final[list[str]] = []


def load(settings: EncoderSettings, wanted: EncoderSpec | None = None) -> Encoder:
    """Give the process-wide encoder these settings name, checked for health when it is loaded.

    Args:
        wanted: the space that it must be of; None takes whatever the settings name now.

    Raises:
        MissingDependency: a package, checkpoint or device is not there; the checkpoint is of another space than
            `wanted`, or was replaced while it was loaded (permanent).
        EncoderUnhealthy: its vectors fail the health check (permanent).
        AcceleratorBusy: no memory on the device (transient).
    """
    return _resident(settings, wanted)[1]


def loaded() -> tuple[str, ...]:
    """Name every load of an encoder since this process began, in order."""
    return tuple(_loaded)


def yardstick(settings: EncoderSettings) -> Yardstick:
    """Give what the confidence of hits is measured with in the space of these settings; made once, then kept.

    Raises:
        MissingDependency, EncoderUnhealthy, AcceleratorBusy: as `load`.
    """
    from encoders.yardsticks import yardstick_for

    place, encoder = _resident(settings)
    if place.yardstick is None:
        with place.lock:
            if place.yardstick is None:
                place.yardstick = yardstick_for(encoder)
    return place.yardstick


def _resident(settings: EncoderSettings, wanted: EncoderSpec | None = None) -> tuple[_Place, Encoder]:
    spec = catalog.spec_for(settings)
    if wanted is not None and spec != wanted:
        raise _replaced(settings, wanted)
    place = _place_of(spec, settings)
    encoder = place.encoder
    if encoder is None:
        with place.lock:
            if place.encoder is None:
                place.encoder = _load(settings, spec)
                _loaded.append(settings.name)
            encoder = place.encoder
    return place, encoder


def _place_of(spec: EncoderSpec, settings: EncoderSettings) -> _Place:
    with _lock:
        if (place := _places.get((spec, settings.device))) is None:
            # What a folder held before cannot be asked for any more: its memory is given back.
            if spec.revision.startswith(FOLDER_REVISION):
                for key in [key for key, other in _places.items() if other.source == settings.name and key[0] != spec]:
                    del _places[key]
            place = _places[spec, settings.device] = _Place(settings.name)
        return place


def _load(settings: EncoderSettings, spec: EncoderSpec) -> Encoder:
    share_processors()  # before torch is imported
    from encoders.device import device_for, dtype_for

    device = device_for(settings.device)
    encoder: Encoder
    with busy_when_out_of_memory("the device has no memory left for the encoder", "DAILIES_ENCODER__DEVICE"):
        if settings.name == catalog.BUNDLED:
            from encoders.bundled import BundledEncoder

            encoder = BundledEncoder(spec, device, dtype_for(device))
        else:
            from encoders.checkpoint import CheckpointEncoder
            from encoders.checkpoint_files import read_checkpoint

            encoder = CheckpointEncoder(read_checkpoint(settings), device, dtype_for(device))
    if catalog.spec_for(settings) != spec or encoder.spec != spec:
        raise _replaced(settings, spec)
    health.check_encoder(encoder, canaries=settings.canaries)
    return encoder


def _replaced(settings: EncoderSettings, wanted: EncoderSpec) -> MissingDependency:
    return MissingDependency(
        f"{settings.name} is no longer the encoder {wanted.name} {wanted.revision}: it was replaced. Do it again, or "
        "bring the old one back."
    )
