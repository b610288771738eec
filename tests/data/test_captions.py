"""Captioners: by name, and the Qwen2.5-VL one against a stand-in for transformers."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.data.captions import QwenCaptioner, captioner
from lamina.errors import CheckpointError, InputError, MissingExtraError


class Inputs(dict[str, Any]):
    def to(self, device: str) -> "Inputs":
        assert device == "cpu"
        return self


class Processor:
    """Answers with the size of the picture it was given."""

    def __init__(self) -> None:
        self.size = (0, 0)

    @classmethod
    def from_pretrained(cls, folder: str, **options: Any) -> "Processor":
        assert options["local_files_only"]
        return cls()

    def apply_chat_template(self, turns: list[Any], **_: Any) -> str:
        return turns[0]["content"][1]["text"]

    def __call__(self, text: list[str], images: list[Any], return_tensors: str) -> Inputs:
        self.size = images[0].size
        return Inputs(input_ids=np.zeros((1, 5), int))

    def batch_decode(self, made: np.ndarray, skip_special_tokens: bool) -> list[str]:
        assert made.tolist() == [[7, 8]]  # the prompt's tokens are cut off
        return [f" A  poster of {self.size} \n"]


class Model:
    device = "cpu"

    @classmethod
    def from_pretrained(cls, folder: str, **options: Any) -> "Model":
        if "bad" in folder:
            raise OSError("no weights")
        assert options["local_files_only"]
        return cls()

    def eval(self) -> "Model":
        return self

    def generate(self, input_ids: np.ndarray, **options: Any) -> np.ndarray:
        assert not options["do_sample"]
        return np.array([[0, 0, 0, 0, 0, 7, 8]])


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    place = tmp_path / getattr(request, "param", "good")
    place.mkdir()
    (place / "config.json").write_text("{}")
    return place


@pytest.fixture
def transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("transformers")
    module.AutoProcessor = Processor  # type: ignore[attr-defined]
    module.Qwen2_5_VLForConditionalGeneration = Model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformers", module)


@pytest.mark.usefixtures("transformers")
def test_qwen_describes_a_picture_shrunk_to_1024_px(folder: Path):
    describe = captioner(f"qwen:{folder}")
    assert isinstance(describe, QwenCaptioner)
    assert describe(np.zeros((900, 1800, 3), np.uint8)) == "A poster of (1024, 512)"


@pytest.mark.usefixtures("transformers")
@pytest.mark.parametrize("folder", ["bad"], indirect=True)
def test_a_folder_without_weights_is_told(folder: Path, tmp_path: Path):
    with pytest.raises(CheckpointError, match="no Qwen"):
        captioner(f"qwen:{folder}")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        captioner(f"qwen:{tmp_path}")


def test_without_transformers_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"lamina\[caption\]"):
        captioner(f"qwen:{folder}")


def test_functions_are_captioners_too():
    assert captioner("harvest_gates:mean_colour")(np.full((4, 4, 3), 9, np.uint8)) == "mean 9 9 9"
    with pytest.raises(InputError, match="there is no captioner"):
        captioner("harvest_gates:nobody")
