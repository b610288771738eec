"""The door for pixels: every kind of file becomes stored sRGB RGBA, and the states convert back and forth."""

import contextlib
import hashlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms

from lamina import pixels
from lamina.errors import InputError
from lamina.pixels import Picture, load_image

RED_TO_BLUE = (
    np.stack([np.linspace(255, 0, 48), np.linspace(0, 90, 48), np.linspace(0, 255, 48)], axis=-1)
    .round()
    .astype(np.uint8)[None]
    .repeat(32, axis=0)
)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def rgb_of(data: object) -> np.ndarray:
    return load_image(data).rgba[..., :3].astype(int)  # type: ignore[arg-type]


def png(header: bytes, rows: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG put together by hand, for kinds that Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    body = b"".join(chunk(*c) for c in [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])
    return b"\x89PNG\r\n\x1a\n" + body


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile (version 2.4) with these tags; the profile connection space is XYZ, or Lab for CMYK."""
    pcs, kind = (b"Lab ", b"prtr") if space == b"CMYK" else (b"XYZ ", b"mntr")
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, body in tags.items():
        table += struct.pack(">4sII", name, start + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    white = struct.pack(">3i", 63190, 65536, 54061)
    header = struct.pack(">I4sI4s4s4s", start + len(data), b"lcms", 0x02400000, kind, space, pcs)
    header += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + white
    return header.ljust(128, b"\0") + table + data


def xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in (x, y, z)))


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def description(text: bytes) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + bytes(1 + 8 + 3 + 67)


def swapped_rgb_profile() -> bytes:
    """The sRGB primaries with red and blue exchanged: a conversion nobody can overlook."""
    red, green, blue = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)
    curves = {name: gamma(2.2) for name in (b"rTRC", b"gTRC", b"bTRC")}
    primaries = {b"rXYZ": xyz(*blue), b"gXYZ": xyz(*green), b"bXYZ": xyz(*red)}
    return profile(b"RGB ", {b"desc": description(b"swapped"), b"wtpt": xyz(0.9642, 1, 0.8249), **primaries, **curves})


def grey_profile(exponent: float) -> bytes:
    tags = {b"desc": description(b"grey"), b"wtpt": xyz(0.9642, 1, 0.8249), b"kTRC": gamma(exponent)}
    return profile(b"GRAY", tags)


def cmyk_profile() -> bytes:
    """Lightness falls with black ink only; cyan, magenta and yellow leave white: unlike any plain formula."""
    corners = [(0 if k else 255, 128, 128) for _ in range(8) for k in (0, 1)]
    identity = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut += identity * 4 + b"".join(bytes(c) for c in corners) + identity * 3
    return profile(b"CMYK", {b"desc": description(b"ink"), b"wtpt": xyz(0.9642, 1, 0.8249), b"A2B0": lut})


def test_a_plain_picture_keeps_every_byte_and_names_its_file() -> None:
    data = encoded(Image.fromarray(RED_TO_BLUE))
    picture = load_image(data)
    assert (picture.rgba[..., :3] == RED_TO_BLUE).all()
    assert (picture.rgba[..., 3] == 255).all()
    assert picture.sha256 == hashlib.sha256(data).hexdigest()
    assert (picture.width, picture.height, picture.dpi, picture.notes) == (48, 32, None, ())
    assert not picture.rgba.flags.writeable


def test_path_bytes_image_and_array_give_the_same_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.fromarray(RED_TO_BLUE)))
    sources = [path, str(path), path.read_bytes(), Image.fromarray(RED_TO_BLUE), RED_TO_BLUE]
    first, *others = [load_image(source) for source in sources]
    assert all((picture.rgba == first.rgba).all() for picture in others)
    assert load_image(first) is first
    assert load_image(RED_TO_BLUE).sha256 == load_image(Image.fromarray(RED_TO_BLUE)).sha256 != first.sha256


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "ICO", "QOI"])
def test_formats_without_loss_keep_the_pixels(kind: str) -> None:
    image = Image.fromarray(RED_TO_BLUE[:16, :16])
    if kind == "GIF":
        image = image.quantize(256, dither=Image.Dither.NONE)
    options = {"WEBP": {"lossless": True}, "ICO": {"sizes": [(16, 16)]}}.get(kind, {})
    data = encoded(image, kind, **options)
    assert (rgb_of(data) == np.asarray(image.convert("RGB"))).all()


@pytest.mark.parametrize("kind", ["JPEG", "AVIF"])
def test_formats_with_loss_come_close(kind: str) -> None:
    assert np.abs(rgb_of(encoded(Image.fromarray(RED_TO_BLUE), kind, quality=95)) - RED_TO_BLUE).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_picture_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying = Image.fromarray(RED_TO_BLUE.copy())
    lying.putpixel((0, 0), (1, 2, 3))
    picture = load_image(encoded(lying, exif=exif, dpi=(72, 144)))
    corners = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    assert picture.rgba[corners[orientation]].tolist() == [1, 2, 3, 255]
    assert (picture.width, picture.height) == ((48, 32) if orientation < 5 else (32, 48))
    assert picture.dpi == pytest.approx((72, 144) if orientation < 5 else (144, 72), abs=0.02)


def test_orientation_out_of_range_leaves_the_picture_as_it_lies() -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    assert (rgb_of(encoded(Image.fromarray(RED_TO_BLUE), exif=exif)) == RED_TO_BLUE).all()


def test_a_colour_profile_is_converted_and_alpha_is_not() -> None:
    rgba = np.dstack([RED_TO_BLUE, np.arange(48, dtype=np.uint8)[None].repeat(32, axis=0)])
    picture = load_image(encoded(Image.fromarray(rgba), icc_profile=swapped_rgb_profile()))
    assert (picture.rgba[..., 3] == rgba[..., 3]).all()
    assert np.abs(picture.rgba[..., :3].astype(int) - RED_TO_BLUE[..., ::-1]).max() <= 12  # gamma 2.2 is not sRGB's
    assert picture.notes == ()


def test_an_srgb_profile_leaves_every_byte_alone() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert (rgb_of(encoded(Image.fromarray(noise), icc_profile=icc)) == noise).all()


def test_a_broken_profile_is_a_note_and_the_picture_goes_on() -> None:
    picture = load_image(encoded(Image.fromarray(RED_TO_BLUE), icc_profile=b"not a profile" * 20))
    assert (picture.rgba[..., :3] == RED_TO_BLUE).all()
    assert "profile" in picture.notes[0]


def test_a_profile_for_another_kind_of_picture_is_a_note() -> None:
    picture = load_image(encoded(Image.fromarray(RED_TO_BLUE), icc_profile=grey_profile(1.0)))
    assert (picture.rgba[..., :3] == RED_TO_BLUE).all()
    assert "profile" in picture.notes[0]


def test_palette_colours_and_transparency_are_kept() -> None:
    image = Image.fromarray(RED_TO_BLUE).quantize(16, dither=Image.Dither.NONE)
    image.info["transparency"] = image.getpixel((0, 0))
    picture = load_image(encoded(image))
    expected = np.asarray(image.convert("RGBA"))
    assert picture.rgba[0, 0, 3] == 0
    assert (picture.rgba == expected).all()


def test_grey_with_and_without_alpha_and_one_bit() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (rgb_of(encoded(Image.fromarray(grey))) == grey[..., None]).all()
    both = load_image(encoded(Image.fromarray(np.dstack([grey, 255 - grey]))))
    assert (both.rgba[..., 0] == grey).all()
    assert (both.rgba[..., 3] == 255 - grey).all()
    bits = Image.fromarray(grey > 100)
    assert (rgb_of(encoded(bits))[..., 1] == np.where(grey > 100, 255, 0)).all()
    assert (rgb_of(encoded(Image.fromarray(grey), icc_profile=grey_profile(1.0)))[4, 0, 0]) > 64 + 60


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_and_rounded(kind: str) -> None:
    values = np.linspace(0, 65535, 256 * 16).round().astype(np.uint16).reshape(64, 64)
    got = rgb_of(encoded(Image.fromarray(values), kind))
    assert (got[..., 0] == np.floor(values / 257 + 0.5)).all()


def test_sixteen_bit_colour_is_scaled_not_clipped() -> None:
    values = np.linspace(0, 65535, 64 * 3).round().astype(">u2").reshape(1, 64, 3)
    data = png(struct.pack(">IIBBBBB", 64, 1, 16, 2, 0, 0, 0), b"\0" + values.tobytes())
    assert np.abs(rgb_of(data) - values / 257).max() <= 1
    assert rgb_of(data)[0, -1, 2] == 255


def test_thirty_two_bit_values_are_scaled_and_said() -> None:
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    picture = load_image(encoded(Image.fromarray(values), "TIFF"))
    assert picture.rgba[0, 0, 0] == 0
    assert picture.rgba[-1, -1, 0] == 255
    assert "32-bit" in picture.notes[0]


def test_cmyk_without_profile_is_converted_and_said() -> None:
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[:4, :, 0] = 255  # pure cyan above white paper
    for kind, options in {"TIFF": {}, "JPEG": {"quality": 100}}.items():  # Adobe's JPEGs hold ink upside down
        picture = load_image(encoded(Image.fromarray(ink, "CMYK"), kind, **options))
        assert np.abs(picture.rgba[0, 0, :3].astype(int) - [0, 255, 255]).max() <= 2
        assert np.abs(picture.rgba[-1, -1, :3].astype(int) - 255).max() <= 2
        assert "CMYK" in picture.notes[0]


def test_cmyk_goes_through_its_profile() -> None:
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[..., 0] = 255
    ink[:4, :, 3] = 255
    picture = load_image(encoded(Image.fromarray(ink, "CMYK"), "TIFF", icc_profile=cmyk_profile()))
    assert picture.notes == ()
    assert picture.rgba[0, 0, :3].max() <= 3
    assert picture.rgba[-1, -1, :3].min() >= 250  # the profile says cyan leaves paper white


def test_an_animation_gives_its_first_frame_and_a_note() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        picture = load_image(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))
        assert picture.rgba[0, 0].tolist() == [255, 0, 0, 255]
        assert "3 frames" in picture.notes[0]


def test_dpi_is_read_and_nonsense_ignored() -> None:
    assert load_image(encoded(Image.fromarray(RED_TO_BLUE), "JPEG", dpi=(300, 300))).dpi == (300, 300)
    nonsense = Image.fromarray(RED_TO_BLUE)
    nonsense.info["dpi"] = (0, float("nan"))
    assert load_image(nonsense).dpi is None


def test_a_picture_over_the_limit_is_refused_from_its_header() -> None:
    def claimed(width: int, height: int) -> bytes:
        return png(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"")

    with pytest.raises(InputError, match=r"9000x8000, 72\.00 megapixels, expected at most 64"):
        load_image(claimed(9000, 8000))
    with pytest.raises(InputError, match="megapixels"):
        load_image(claimed(400_000, 400_000))
    with pytest.raises(InputError, match="truncated or damaged"):
        load_image(claimed(8000, 8000))


def test_what_is_no_picture_is_refused_in_one_sentence(tmp_path: Path) -> None:
    data = encoded(Image.fromarray(RED_TO_BLUE), "JPEG")
    cases = {
        "empty.png": (b"", "is empty"),
        "words.png": (b"hello, this is text", "not a picture"),
        "cut.jpg": (data[:-40], "truncated or damaged"),
        "cut.png": (encoded(Image.fromarray(RED_TO_BLUE))[:-30], "truncated or damaged"),
        "page.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not a picture"),
    }
    for name, (content, words) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=words) as caught:
            load_image(path)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)


def test_a_missing_file_a_folder_a_device_and_a_bad_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_image(tmp_path / "nowhere.png")
    with pytest.raises(InputError, match="is a folder"):
        load_image(tmp_path)
    with pytest.raises(InputError, match="device or pipe"):
        load_image("/dev/null")
    with pytest.raises(InputError, match="cannot be read"):
        load_image("a\0b.png")


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8), np.zeros(4, np.uint8)],
)
def test_an_array_of_another_kind_is_refused(array: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected uint8"):
        load_image(array)


@given(
    cut=st.integers(0, 400),
    place=st.integers(0, 400),
    value=st.integers(0, 255),
    kind=st.sampled_from(["PNG", "GIF", "TIFF", "BMP"]),
)
def test_a_spoiled_file_is_a_picture_or_an_input_error(cut: int, place: int, value: int, kind: str) -> None:
    data = bytearray(encoded(Image.fromarray(RED_TO_BLUE[:8, :8]), kind))
    data[place % len(data)] = value
    with contextlib.suppress(InputError):
        assert isinstance(load_image(bytes(data[: len(data) - cut % len(data)])), Picture)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.sampled_from([3, 4]))))
def test_the_model_state_gives_the_bytes_back(stored: np.ndarray) -> None:
    tensor = pixels.to_model(stored)
    assert tensor.dtype == torch.float32
    assert float(tensor.abs().max()) <= 1
    assert (pixels.from_model(tensor) == stored).all()


@given(hnp.arrays(np.uint8, (5, 4, 4)))
def test_premultiplying_and_back_keeps_visible_pixels(stored: np.ndarray) -> None:
    back = pixels.unpremultiply(pixels.premultiply(stored))
    shown = stored[..., 3] > 0
    assert (back[shown] == stored[shown]).all()
    assert not back[~shown].any()


def test_rounding_goes_to_the_nearest_and_clips() -> None:
    assert pixels.round_u8(np.array([-3.0, 0.49, 0.5, 1.5, 254.5, 300.0])).tolist() == [0, 0, 1, 2, 255, 255]


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_channels_are_reduced_as_numpy_reduces_them(kind: type, channels: int) -> None:
    values = np.random.default_rng(0).uniform(0, 255, (7, 5, channels)).astype(kind)
    assert np.array_equal(pixels.channel_max(values), values.max(axis=2))
    if kind is not np.uint8:
        assert np.array_equal(pixels.channel_sum(values), values.sum(axis=2))


def test_bleed_gives_hidden_pixels_the_nearest_visible_colour() -> None:
    rgba = np.zeros((1, 5, 4), np.uint8)
    rgba[0, 0], rgba[0, 4] = (9, 8, 7, 255), (1, 2, 3, 1)
    bled = pixels.bleed(rgba)
    assert bled[0, 1].tolist() == [9, 8, 7, 0]
    assert bled[0, 3].tolist() == [1, 2, 3, 0]
    assert (bled[..., 3] == rgba[..., 3]).all()


def test_resizing_does_not_let_hidden_colour_shine_through() -> None:
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[..., 0] = 255  # red where nothing shows
    rgba[:, :4] = (0, 0, 255, 255)
    small = pixels.resize_rgba(rgba, (4, 4))
    assert not small[small[..., 3] > 0][:, 0].any()


def test_the_trim_box_holds_exactly_what_shows() -> None:
    alpha = np.zeros((6, 9), np.uint8)
    assert pixels.trim_box(alpha) is None
    alpha[2, 3] = alpha[4, 7] = 1
    assert pixels.trim_box(alpha) == (3, 2, 8, 5)


@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_the_model_size_is_near_its_area_and_in_whole_steps(width: int, height: int) -> None:
    w, h = pixels.model_size(width, height, area=512 * 512, multiple=16)
    assert w % 16 == h % 16 == 0
    assert abs(w * h / 512**2 - 1) < 0.1


def test_the_box_of_a_mask_with_a_margin_stays_on_the_canvas() -> None:
    mask = np.zeros((10, 20), bool)
    assert mask[pixels.box_slices(mask, 2)].size == 0
    mask[1:3, 15] = True
    assert pixels.box_slices(mask) == (slice(1, 3), slice(15, 16))
    assert pixels.box_slices(mask, 5) == (slice(0, 8), slice(10, 20))
