"""Single files of a checkpoint on the Hugging Face hub, from its cache on this machine where they are there."""

from pathlib import Path
from typing import Final

from core.errors import MissingDependency

#: Every checkpoint has this file: where it is cached, the checkpoint was downloaded.
CONFIG: Final = "config.json"


def hub_file(name: str, commit: str, file: str) -> Path | None:
    """Give the path of a file of a checkpoint, downloaded when it must be; None when the checkpoint has no such file.

    What is cached is never asked for again, and neither is what is known to be missing.

    Raises:
        MissingDependency: the checkpoint is neither here nor on a hub that answers (permanent).
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        found, is_known = _cached(name, commit, file)
        if is_known:
            return found
        return Path(hf_hub_download(name, file, revision=commit))
    except LocalEntryNotFoundError as error:  # neither in the cache nor on a hub that answers
        if _cached(name, commit, CONFIG)[0]:
            return None  # it was downloaded without this file
        raise MissingDependency(
            f"{name} at {commit} is not on this machine and the hub does not answer; download it where the hub can be "
            "reached, and set DAILIES_ENCODER__NAME to its folder"
        ) from error
    except EntryNotFoundError:
        return None
    except (HFValidationError, HfHubHTTPError) as error:
        raise MissingDependency(f"the hub has no checkpoint {name} at {commit}: {error}") from error


def _cached(name: str, commit: str, file: str) -> tuple[Path | None, bool]:
    """Give the file, and whether the cache knows at all if there is one."""
    from huggingface_hub import constants, try_to_load_from_cache

    # The folder is named: the default argument would be that of the first import.
    found = try_to_load_from_cache(name, file, cache_dir=constants.HF_HUB_CACHE, revision=commit)
    return (Path(found), True) if isinstance(found, str) else (None, found is not None)
