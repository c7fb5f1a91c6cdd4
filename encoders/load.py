"""One resident encoder per process and identity: loaded when first asked for, then kept."""

from threading import Lock
from typing import Final

from core.settings import EncoderSettings
from encoders import catalog, health
from encoders.confidence import Yardstick
from encoders.protocol import Encoder

_lock: Final = Lock()
_resident: Final[dict[tuple[str, str | None, str], Encoder]] = {}
#: Names of what was loaded since this process began, in order: one that stays resident stands here once.
_loaded: Final[list[str]] = []
_yardsticks: Final[dict[tuple[str, str | None, str], Yardstick]] = {}


def load(settings: EncoderSettings) -> Encoder:
    """Give the process-wide encoder these settings name, checked for health when it is loaded.

    Raises:
        MissingDependency: a package, checkpoint or device is not there (permanent).
        EncoderUnhealthy: its vectors fail the health check (permanent).
    """
    with _lock:
        identity = _identity(settings)
        if identity not in _resident:
            _resident[identity] = _load(settings)
            _loaded.append(settings.name)
        return _resident[identity]


def loaded() -> tuple[str, ...]:
    """Name every load of an encoder since this process began, in order."""
    return tuple(_loaded)


def yardstick(settings: EncoderSettings) -> Yardstick:
    """Give what the confidence of hits is measured with in the space of these settings; made once, then kept.

    Raises:
        MissingDependency, EncoderUnhealthy: as `load` (permanent).
        AcceleratorBusy: no memory on the device (transient).
    """
    from encoders.yardsticks import yardstick_for

    encoder = load(settings)
    with _lock:
        identity = _identity(settings)
        if identity not in _yardsticks:
            _yardsticks[identity] = yardstick_for(encoder)
        return _yardsticks[identity]


def _identity(settings: EncoderSettings) -> tuple[str, str | None, str]:
    return settings.name, settings.revision, settings.device


def _load(settings: EncoderSettings) -> Encoder:
    from encoders.device import device_for, dtype_for

    device = device_for(settings.device)
    encoder: Encoder
    if settings.name == catalog.BUNDLED:
        from encoders.bundled import BundledEncoder

        encoder = BundledEncoder(catalog.spec_for(settings), device, dtype_for(device))
    else:
        from encoders.checkpoint import CheckpointEncoder
        from encoders.checkpoint_files import read_checkpoint

        encoder = CheckpointEncoder(read_checkpoint(settings), device, dtype_for(device))
    health.check_encoder(encoder, canaries=settings.canaries)
    return encoder
