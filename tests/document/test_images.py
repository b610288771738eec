"""The image of an edit: data URI, sha256, path."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from lamina.document.images import image_text, is_path, read_image
from lamina.errors import InputError
from lamina.pixels import pixel_sha256


def noise(height=5, width=4):
    return np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)


def packed(picture, kind, **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def uri(data):
    return "data:image/any;base64," + base64.b64encode(data).decode()


def test_pixels_survive_as_a_data_uri():
    assert np.array_equal(read_image(image_text(noise())), noise())
    assert np.array_equal(read_image(image_text(Image.fromarray(noise()))), noise())


def test_the_bytes_of_a_file_become_a_data_uri():
    assert np.array_equal(read_image(image_text(packed(Image.fromarray(noise()), "PNG"))), noise())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_content_tells_the_format(kind):
    rgba = read_image(uri(packed(Image.new("RGB", (6, 3), (200, 30, 40)), kind)))
    assert rgba.shape == (3, 6, 4)
    assert np.abs(rgba[0, 0].astype(int) - [200, 30, 40, 255]).max() <= 4


def test_a_file_is_read_and_a_missing_one_named(tmp_path):
    Image.fromarray(noise()).save(tmp_path / "a.png")
    assert np.array_equal(read_image(image_text(tmp_path / "a.png")), noise())
    with pytest.raises(InputError, match=r"b\.png"):
        read_image(str(tmp_path / "b.png"))


@pytest.mark.parametrize(
    "text",
    [
        "data:image/png,raw",
        "data:image/png;base64",
        "data:image/png;base64,@@@",
        "data:image/png;base64,AAAA",
        "data:image/png;base64,",
        uri(packed(Image.fromarray(noise(64, 64)), "PNG")[:300]),
        "0" * 64,
        "nowhere\0.png",
        "",
    ],
)
def test_an_unusable_image_is_an_input_error(text):
    with pytest.raises(InputError):
        read_image(text)


def test_a_sha256_is_no_path():
    assert not is_path(pixel_sha256(noise()))
    assert not is_path("data:,")
    assert is_path("logo.png")
