"""Prompts to embeddings and pictures to captions, by the released model's Qwen2.5-VL through `transformers`.

Embeddings are kept on disk under a hash of prompt and encoder, so the encoder (16.6 GB in bfloat16) is loaded only for
a prompt never met before, or for a caption, and given up with `free`. The prompt's template is checkpoint data: the
transformer learned from embeddings made with exactly these words. Knows tokens and folders, no sampler.
"""

import gc
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lamina.errors import CheckpointError, MissingExtraError
from lamina.model.denoise import Text
from lamina.model.quantize import silence
from lamina.model.weights import read_json

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["EMPTY", "Language", "Prompts", "cache_folder", "padded"]

EMPTY = " "
"""What guidance measures against."""

Language = Literal["en", "zh"]

_TEMPLATE = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial "
    "relationships of the objects and background:<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
_SKIPPED = 34
"""Tokens of the template before the prompt, whose embeddings the transformer is not given."""

_LONGEST = 512
"""Tokens of an embedding at most, and of a caption."""

_ASK: dict[Language, str] = {
    "en": "Look at the picture and say in a few plain sentences what it shows: every object with its colour, shape, "
    "material, number and place, how the objects lie in front of one another, the ground behind them, the light. Quote "
    "any lettering exactly as it is written. Say only what can be seen.",
    "zh": "请观察这张图片，用几句平实的话说明画面内容：每个物体的颜色、形状、材质、数量和位置，"
    "物体之间的前后遮挡，背景与光线。图中的文字请原样加引号写出。只写看得见的内容。",
}
_TURN = "<|im_start|>user\n<|vision_start|>{pads}<|vision_end|>{ask}<|im_end|>\n<|im_start|>assistant\n"
_PAD = "<|image_pad|>"


class Prompts:
    """The text encoder of a model folder, loaded when needed."""

    def __init__(
        self,
        folder: Path,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.bfloat16,
        cache: Path | None = None,
        on_load: Callable[[str], None] | None = None,
    ) -> None:
        """`cache` is a folder for embeddings, None to keep none; `on_load` hears what is being loaded."""
        self.folder, self.device, self.dtype, self.cache = folder, device, dtype, cache
        self._on_load, self._encoder, self._tokenizer = on_load, None, None

    @property
    def loaded(self) -> bool:
        """Whether the encoder is in memory."""
        return self._encoder is not None

    @property
    def bytes(self) -> int:
        """Size of the encoder's weights on disk, nearly that in memory; 0 where there is none."""
        return sum(file.stat().st_size for file in (self.folder / "text_encoder").glob("*.safetensors"))

    def __call__(self, prompts: Sequence[str]) -> Text:
        """The embeddings of the prompts, right-padded to the longest; an empty prompt is EMPTY.

        Raises CheckpointError where there is no text encoder, MissingExtraError without `transformers`.
        """
        return padded([self._embedding(prompt or EMPTY) for prompt in prompts])

    def caption(self, picture: Image.Image, language: Language = "en", longest: int = _LONGEST) -> str:
        """What the picture shows, in words, without chance: the likeliest word each time."""
        folder = self._part("processor")
        encoder, tokenizer = self._load()
        transformers: Any = _transformers()
        try:
            processor = transformers.Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{folder} cannot be loaded ({_first_line(error)}); download it again") from error
        seen = processor(images=[picture.convert("RGB")], return_tensors="pt")
        pads = int(seen["image_grid_thw"].prod()) // processor.merge_size**2
        words = tokenizer(_TURN.format(pads=_PAD * pads, ask=_ASK[language]), return_tensors="pt")
        kinds = (words["input_ids"] == tokenizer.convert_tokens_to_ids(_PAD)).long()
        inputs = {**words, "mm_token_type_ids": kinds, **seen}
        inputs = {name: value.to(self.device) for name, value in inputs.items()}
        inputs["pixel_values"] = inputs["pixel_values"].to(self.dtype)
        with torch.inference_mode():
            found = encoder.generate(**inputs, max_new_tokens=longest, do_sample=False)
        return tokenizer.decode(found[0, words["input_ids"].shape[1] :], skip_special_tokens=True).strip()

    def free(self) -> None:
        """Give the encoder's memory back."""
        if self._encoder is None:
            return
        self._encoder = None
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _embedding(self, prompt: str) -> Tensor:
        path = None if self.cache is None else self.cache / f"{self._key(prompt)}.safetensors"
        if path is not None:
            with suppress(OSError, SafetensorError, KeyError):  # absent, or broken: made again
                return load_file(path)["embedding"]
        encoder, tokenizer = self._load()
        ids = tokenizer(_TEMPLATE.format(prompt), return_tensors="pt")["input_ids"].to(self.device)
        with torch.inference_mode():
            hidden = encoder.model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        embedding = hidden[0, _SKIPPED:][:_LONGEST].to(self.dtype).cpu().clone()
        if path is not None:
            _keep(embedding, path)
        return embedding

    def _key(self, prompt: str) -> str:
        """A hash of all that an embedding depends on; files are told apart by size and time."""
        encoder = self._part("text_encoder")
        files = sorted(encoder.glob("*.safetensors"))
        stamps = [f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
        words = [json.dumps(read_json(encoder / "config.json")), *stamps, str(self.dtype), _TEMPLATE, prompt]
        return hashlib.sha256("\0".join(words).encode()).hexdigest()

    def _load(self) -> tuple[Any, Any]:
        if self._encoder is None:
            transformers: Any = _transformers()
            folder = self._part("text_encoder")
            kind = read_json(folder / "config.json").get("model_type")
            if kind != "qwen2_5_vl":
                raise CheckpointError(f"{folder} holds a text encoder of the kind {kind}; expected qwen2_5_vl")
            if self._on_load is not None:
                self._on_load("text encoder")
            try:
                tokenizer = transformers.Qwen2Tokenizer.from_pretrained(self._part("tokenizer"), local_files_only=True)
                kind = transformers.Qwen2_5_VLForConditionalGeneration
                encoder, report = kind.from_pretrained(
                    folder, dtype=self.dtype, local_files_only=True, output_loading_info=True
                )
            except (OSError, ValueError, SafetensorError) as error:
                raise CheckpointError(f"{folder} cannot be loaded ({_first_line(error)}); download it again") from error
            except RuntimeError as error:
                if "mismatched" not in str(error):  # memory, say
                    raise
                raise CheckpointError(f"{folder}: weights and config.json do not fit; download it again") from error
            if _PAD not in tokenizer.get_vocab():
                raise CheckpointError(f"{self._part('tokenizer')} does not know the word {_PAD}; download it again")
            if lost := sorted(report["missing_keys"]):
                raise CheckpointError(f"{folder} lacks {lost[0]} ({len(lost)} tensors in all); download it again")
            self._encoder, self._tokenizer = encoder.to(self.device).eval().requires_grad_(False), tokenizer
        return self._encoder, self._tokenizer

    def _part(self, name: str) -> Path:
        folder = self.folder / name
        if not folder.is_dir():
            raise CheckpointError(
                f"{self.folder} has no {name}, which a prompt or a caption needs; bring that folder of "
                "Qwen/Qwen-Image-Layered there"
            )
        return folder


def padded(rows: Sequence[Tensor]) -> Text:
    """Embeddings "t e" of several prompts as one batch, zeros at the end of the shorter ones."""
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
    return Text(torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True), None if bool(mask.all()) else mask)


def cache_folder() -> Path:
    """Where embeddings are kept: LAMINA_CACHE, or the user's cache folder."""
    given = os.environ.get("LAMINA_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "lamina" / "text"


def _keep(embedding: Tensor, path: Path) -> None:
    """Write an embedding for another time; where that cannot be, it is made again then."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with suppress(OSError, SafetensorError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            save_file({"embedding": embedding.contiguous()}, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _transformers() -> Any:
    silence()
    try:
        import transformers
        import transformers.utils.logging
    except ImportError as error:
        raise MissingExtraError("the text encoder of the released model", "large") from error
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()  # what does not fit is told by us, in one line
    return transformers
