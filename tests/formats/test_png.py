"""Flat PNG and the PNG codec: every byte kept, profile and resolution carried, any kind of PNG read, bad input."""

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sample_documents import noise, rich_document

from lamina.document.composite import flatten
from lamina.errors import FormatError, InputError
from lamina.formats import png
from lamina.formats.profile import srgb_profile


def pillow_png(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


@given(height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_decode_of_encode_keeps_every_byte(height: int, width: int, seed: int):
    rgba = noise(height, width, seed)
    profile = bytes(16) + b"RGB " + np.random.default_rng(seed).bytes(300)
    picture = png.decode(png.encode(rgba, profile, (72.0, 300.0)), "it")
    assert np.array_equal(picture.rgba, rgba)
    assert picture.icc == profile
    assert picture.dpi == (72.0, 300.0)


def test_pillow_reads_the_same_pixels_profile_and_resolution():
    rgba = noise(7, 5, 1)
    with Image.open(io.BytesIO(png.encode(rgba, srgb_profile(), (300, 300)))) as image:
        assert np.array_equal(np.asarray(image), rgba)
        assert image.info["icc_profile"] == srgb_profile()
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)


def test_a_picture_without_profile_is_marked_srgb():
    data = png.encode(noise(2, 2, 0))
    assert b"sRGB" in data
    assert png.embedded_profile(data, "it") is None


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_mode_of_png_reads_as_pillow_shows_it(mode: str):
    image = Image.fromarray(noise(6, 7, 3)).convert(mode)
    assert np.array_equal(png.decode(pillow_png(image), "it").rgba, np.asarray(image.convert("RGBA")))


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3), (5, 4, 4)])
def test_sixteen_bits_are_rounded_to_eight(shape: tuple[int, ...]):
    deep = np.random.default_rng(0).integers(0, 65536, shape, dtype=np.uint16)
    deep.flat[:2] = 65535, 129
    data = cv2.imencode(".png", deep)[1].tobytes()
    expected = np.floor(deep * 255.0 / 65535 + 0.5).astype(np.uint8)
    rgba = png.decode(data, "it").rgba
    colour = expected[..., None].repeat(3, 2) if len(shape) == 2 else expected[..., 2::-1]
    assert np.array_equal(rgba[..., :3], colour)
    assert np.array_equal(rgba[..., 3], expected[..., 3] if shape[2:] == (4,) else np.full((5, 4), 255))


def test_a_profile_of_two_megabytes_is_carried():
    profile = bytes(16) + b"RGB " + np.random.default_rng(0).bytes(2_000_000)
    assert png.decode(png.encode(noise(2, 2, 0), profile), "it").icc == profile


def test_grey_of_linear_light_becomes_srgb():
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, 256) + bytes(2)  # gamma 1.0
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", 156, 20, b"kTRC", 176, 16)
    head = struct.pack(
        ">I4xI4s4s4s12x4s28x3i48x", 192, 0x02400000, b"mntr", b"GRAY", b"XYZ ", b"acsp", 63190, 65536, 54061
    )
    picture = png.decode(pillow_png(Image.new("L", (3, 3), 100), icc_profile=head + tags + white + curve), "it")
    assert picture.icc is None  # the pixels are sRGB now, and a grey profile would not fit them
    linear = 100 / 255
    encoded = 255 * (1.055 * linear ** (1 / 2.4) - 0.055)
    assert abs(picture.rgba[..., :3] - encoded).max() <= 1


def test_write_flattens_and_says_so_and_read_gives_the_composite(tmp_path: Path):
    document = rich_document()
    losses = png.write(document, tmp_path / "flat.png")
    assert len(losses) == 1
    assert "flattened" in losses[0]
    back = png.read(tmp_path / "flat.png")
    assert [layer.name for layer in back.layers] == ["flat"]
    assert np.array_equal(flatten(back), flatten(document))
    assert back.dpi == document.dpi


def test_unwritable_places_are_input_errors(tmp_path: Path):
    (tmp_path / "folder.png").mkdir()
    for name in ("folder.png", "none/flat.png"):
        with pytest.raises(InputError, match="cannot write"):
            png.write(rich_document(), tmp_path / name)


@given(data=st.binary(max_size=60), keep=st.integers(0, 200), flip=st.integers(0, 10_000), change=st.integers(0, 255))
@settings(deadline=None, max_examples=100)
def test_a_cut_or_altered_png_decodes_or_is_a_format_error(data: bytes, keep: int, flip: int, change: int):
    whole = bytearray(png.encode(noise(4, 4, 1)))
    whole[flip % len(whole)] ^= change
    for broken in (data, bytes(whole), bytes(whole[:keep]), bytes(whole[:keep]) + data):
        with suppress(FormatError):
            png.decode(broken, "it")


@given(
    body=st.binary(max_size=40), kind=st.sampled_from([b"iCCP", b"pHYs", b"tRNS", b"PLTE", b"gAMA", b"IDAT", b"zTXt"])
)
@settings(deadline=None, max_examples=100)
def test_chunks_of_nonsense_decode_or_are_a_format_error(body: bytes, kind: bytes):
    whole = png.encode(noise(4, 4, 1))
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    with suppress(FormatError):
        png.decode(whole[:33] + chunk + whole[33:], "it")


def test_a_missing_or_empty_file_is_a_format_error(tmp_path: Path):
    (tmp_path / "empty.png").touch()
    for name in ("none.png", "empty.png"):
        with pytest.raises(FormatError):
            png.read(tmp_path / name)
