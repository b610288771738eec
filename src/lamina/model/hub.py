"""A released model by its name on the Hugging Face Hub: from the local cache, or downloaded.

Downloading, resuming and showing progress are `huggingface_hub`'s; this says what is needed and what to do when it
cannot be had. Knows names and folders.
"""

import re
from pathlib import Path
from typing import Any

from lamina.errors import CheckpointError, MissingExtraError

__all__ = ["OFFICIAL", "find_released", "is_repository"]

OFFICIAL = "Qwen/Qwen-Image-Layered"
"""The published weights: about 58 GB."""

_FILES = ("*.json", "*.txt", "*.jinja", "*.safetensors")
_REST = ("model_index.json", "vae/*", "scheduler/*", "text_encoder/*", "tokenizer/*", "processor/*")
"""All but the transformer."""


def is_repository(name: str) -> bool:
    """Whether this is written like a name on the hub, owner/name."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name) is not None


def find_released(name: str, *, transformer: bool = True) -> Path:
    """The folder of a model: from the cache where it is whole, else downloaded, going on where it was broken off.

    `transformer=False` leaves the transformer's weights out, for a file that replaces them. Raises CheckpointError
    where it cannot be had, MissingExtraError without the package.
    """
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError as error:
        raise MissingExtraError(f"downloading {name}", "large") from error
    hub: Any = huggingface_hub
    patterns = list(_FILES if transformer else _REST)
    try:
        return Path(hub.snapshot_download(name, allow_patterns=patterns, local_files_only=True))
    except (errors.LocalEntryNotFoundError, OSError):
        pass
    try:
        return Path(hub.snapshot_download(name, allow_patterns=patterns))
    except errors.GatedRepoError as error:
        raise CheckpointError(f"{name} asks you to accept its terms on the hub first, then 'hf auth login'") from error
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(
            f"there is no folder '{name}' here and no model of that name on the hub; expected one such as {OFFICIAL}"
        ) from error
    except (errors.LocalEntryNotFoundError, errors.HfHubHTTPError, OSError, ConnectionError) as error:
        reason = (str(error).strip().splitlines() or ["no connection"])[0]
        raise CheckpointError(
            f"'{name}' is no folder here, not in the local cache, and cannot be downloaded ({reason}); where there is "
            f"a connection run 'hf download {name} --local-dir DIR', bring the folder here and give its path"
        ) from error
