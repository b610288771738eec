"""A released model by its name on the Hugging Face Hub: from the local cache, or downloaded.

Downloading, going on and showing progress are `huggingface_hub`'s; this says what is needed, whether a cache has all of
it, and what to do when it cannot be had. Knows names and folders.
"""

import json
import re
from pathlib import Path
from typing import Any

from lamina.errors import CheckpointError, MissingExtraError

__all__ = ["OFFICIAL", "find_released", "is_repository", "is_whole"]

OFFICIAL = "Qwen/Qwen-Image-Layered"
"""The published weights: about 58 GB."""

_FILES = ("*.json", "*.txt", "*.jinja", "*.safetensors")
_REST = ("model_index.json", "vae/*", "scheduler/*", "text_encoder/*", "tokenizer/*", "processor/*")
"""All but the transformer."""

_CONFIGS = {
    "scheduler": ("scheduler_config.json",),
    "tokenizer": ("tokenizer.json", "vocab.json"),
    "processor": ("preprocessor_config.json", "processor_config.json"),
}
"""Parts without weights, and files of which each has one at least."""

_WEIGHTS = {"vae": "diffusion_pytorch_model", "text_encoder": "model", "transformer": "diffusion_pytorch_model"}
"""Parts with weights, and what their files are called."""


def is_repository(name: str) -> bool:
    """Whether this is written like a name on the hub, owner/name."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name) is not None


def is_whole(folder: Path, *, transformer: bool = True) -> bool:
    """Whether a folder in the diffusers layout has every file that its parts and their indexes name.

    Caches hold a file whole or not at all, so no file is opened but for indexes.
    """
    parts = [name for name in _WEIGHTS if transformer or name != "transformer"]
    return (
        (folder / "model_index.json").is_file()
        and all(any((folder / part / name).is_file() for name in names) for part, names in _CONFIGS.items())
        and all(_has_weights(folder / part, _WEIGHTS[part]) for part in parts)
    )


def _has_weights(folder: Path, stem: str) -> bool:
    if not (folder / "config.json").is_file():
        return False
    index = folder / f"{stem}.safetensors.index.json"
    if not index.is_file():
        return (folder / f"{stem}.safetensors").is_file()
    try:
        shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False
    return bool(shards) and all((folder / str(shard)).is_file() for shard in shards)


def find_released(name: str, *, transformer: bool = True) -> Path:
    """The folder of a model: from the cache where it is whole, else downloaded; whole files are not fetched again.

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
        found = Path(hub.snapshot_download(name, allow_patterns=patterns, local_files_only=True))
        if is_whole(found, transformer=transformer):
            return found
    except (errors.LocalEntryNotFoundError, OSError):
        pass
    except errors.HFValidationError as error:
        raise CheckpointError(
            f"there is no folder '{_short(name)}' here, and it cannot be a name on the hub; expected one such as "
            f"{OFFICIAL}"
        ) from error
    try:
        return Path(hub.snapshot_download(name, allow_patterns=patterns))
    except errors.GatedRepoError as error:
        raise CheckpointError(f"{name} asks you to accept its terms on the hub first, then 'hf auth login'") from error
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(
            f"there is no folder '{name}' here and no model of that name on the hub; expected one such as {OFFICIAL}"
        ) from error
    except Exception as error:  # a connection that breaks off raises what the library's own libraries have for it
        reason = (str(error).strip().splitlines() or ["no connection"])[0]
        raise CheckpointError(
            f"'{name}' is no folder here, not whole in the local cache, and cannot be downloaded ({reason}); the same "
            f"command again fetches what is missing, or where there is a connection run 'hf download {name} "
            "--local-dir DIR', bring the folder here and give its path"
        ) from error


def _short(name: str) -> str:
    return name if len(name) <= 60 else name[:57] + "…"
