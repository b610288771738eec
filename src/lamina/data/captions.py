"""Captioners: what a picture shows, in words.

A captioner is any `Callable[[rgb], str]`; on the command line it is named `module:function`, or `qwen:FOLDER` for a
Qwen2.5-VL model whose weights lie in a local folder. As in the paper (arXiv 2512.15603, section 3.3) only the
composite is described. Nothing is ever downloaded.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingImports=false

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from lamina.data.gates import named
from lamina.errors import CheckpointError, MissingExtraError

__all__ = ["Captioner", "QwenCaptioner", "captioner"]

Captioner = Callable[[UInt8[np.ndarray, "h w 3"]], str]

_ASKED = (
    "Describe this picture in one paragraph: its subject, layout, style and colours. "
    "Quote every piece of text that can be read, word for word."
)
_MOST_TOKENS = 256
_MOST_SIDE = 1024  # px; more costs time and tells little


def captioner(name: str) -> Captioner:
    """The captioner of this name. Raises InputError, MissingExtraError or CheckpointError."""
    kind, _, rest = name.partition(":")
    return QwenCaptioner(Path(rest)) if kind == "qwen" else named(name, "captioner")


class QwenCaptioner:
    """Captions by a Qwen2.5-VL model from a local folder, loaded once, on the device that transformers chooses.

    The same picture gives the same words on one device. Raises MissingExtraError without transformers and
    CheckpointError when the folder holds no such model.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "config.json").is_file():
            raise CheckpointError(f"{folder} holds no model: there is no config.json; give a folder of Qwen2.5-VL")
        try:
            transformers: Any = importlib.import_module("transformers")
        except ImportError as error:
            raise MissingExtraError("captioning by Qwen2.5-VL", "caption") from error
        place = {"device_map": "auto"} if importlib.util.find_spec("accelerate") else {}
        try:
            self._processor = transformers.AutoProcessor.from_pretrained(str(folder), local_files_only=True)
            self._model = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(
                str(folder), local_files_only=True, torch_dtype="auto", **place
            ).eval()
        except (OSError, ValueError, KeyError, AttributeError, RuntimeError) as error:
            raise CheckpointError(f"{folder} holds no Qwen2.5-VL that can be loaded: {error}") from error

    def __call__(self, rgb: UInt8[np.ndarray, "h w 3"]) -> str:
        """The caption, one paragraph."""
        image = Image.fromarray(rgb)
        image.thumbnail((_MOST_SIDE, _MOST_SIDE))
        turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": _ASKED}]}
        prompt = self._processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
        inputs = self._processor(text=[prompt], images=[image], return_tensors="pt").to(self._model.device)
        made = self._model.generate(**inputs, max_new_tokens=_MOST_TOKENS, do_sample=False)
        words = self._processor.batch_decode(made[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return " ".join(str(words[0]).split())
