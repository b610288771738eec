"""OpenRaster: round trip, losses, bad input, and the proof that Krita flattens our layers to our composite."""

import io
import os
import struct
import subprocess
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lamina.document.composite import flatten
from lamina.document.document import Document
from lamina.document.layer import BlendMode, Box, Group, Layer, Text
from lamina.errors import FormatError
from lamina.formats import ora
from lamina.formats.profile import srgb_profile


def noise(height: int, width: int, seed: int, *, opaque: bool = False) -> np.ndarray:
    rgba = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    if opaque:
        rgba[..., 3] = 255
    return rgba


def sample() -> Document:
    """Groups, opacities, offsets that reach outside the canvas, an invisible layer."""
    inner = Group(
        id="inner",
        name="Inner",
        opacity=0.8,
        children=(
            Layer(id="a", name="Stripe", rgba=noise(20, 90, 1), x=-15, y=30, opacity=0.6),
            Layer(id="b", name="Corner", rgba=noise(50, 40, 2), x=75, y=70),
        ),
    )
    hidden = Layer(id="h", name="Hidden", rgba=noise(40, 40, 3, opaque=True), x=10, y=10, visible=False)
    text = Text(content="Grüße,\nWelt", font_family="Serif", size_px=18, box=Box(1, 2, 30, 40))
    label = Layer(id="t", name='Label "<&>" ü 漢', rgba=noise(30, 30, 4), x=40, y=-8, locked=True, text=text)
    return Document(
        width=100,
        height=90,
        layers=(
            Layer(id="bg", name="Ground", rgba=noise(90, 100, 0, opaque=True)),
            inner,
            hidden,
            Group(id="outer", name="Outer", opacity=0.5, children=(label,)),
        ),
        icc=srgb_profile(),
        dpi=(300.0, 150.0),
        meta={"model": "small", "fidelity": {"exact_share": 0.5}},
    )


def rewritten(path: Path, **replaced: bytes | None) -> Path:
    """The archive at `path` with members replaced (keys with __ for / and _ for .) or left out (None)."""
    changes = {key.replace("__", "/").replace("_", "."): data for key, data in replaced.items()}
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | changes
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            if data is not None:
                archive.writestr(name, data)
    return path


def stack(inner: str, width: int = 8, height: int = 8) -> bytes:
    return f'<image version="0.0.5" w="{width}" h="{height}"><stack>{inner}</stack></image>'.encode()


MANY_SIDED = stack(
    '<stack name="G" opacity="0.5" visibility="visible" isolation="auto" composite-op="svg:src-over">'
    '<layer name="A" src="data/a.png" x="-2" y="3" opacity="0.25" composite-op="svg:multiply" edit-locked="true" />'
    '</stack><layer name="B" src="data/b.png" lamina-id="b" lamina-text="{&quot;content&quot;: &quot;t&quot;}"/>'
)


def foreign(path: Path, xml: bytes, **members: bytes) -> Path:
    """An ORA such as another program may write, with data/a.png (8x8 noise) and data/b.png (8x8, grey half)."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "image/openraster")
        archive.writestr("stack.xml", xml)
        for name, picture in (("a", noise(8, 8, 5)), ("b", np.full((8, 8, 4), 128, np.uint8))):
            data = io.BytesIO()
            Image.fromarray(picture).save(data, "PNG")
            archive.writestr(f"data/{name}.png", data.getvalue())
        for name, content in members.items():
            archive.writestr(f"data/{name}.png", content)
    return path


def test_what_is_written_reads_back_equal(tmp_path):
    losses = ora.write(sample(), tmp_path / "a.ora")
    assert ["text" in loss for loss in losses] == [True]
    assert ora.read(tmp_path / "a.ora") == sample()


def test_every_blend_mode_reads_back(tmp_path):
    layers = tuple(Layer(id=mode, name=mode, rgba=noise(2, 2, 0), blend=mode) for mode in BlendMode)
    losses = ora.write(Document(width=4, height=4, layers=layers), tmp_path / "a.ora")
    assert [layer.blend for layer in ora.read(tmp_path / "a.ora").layers] == list(BlendMode)
    assert len(losses) == 1
    assert "exclusion" in losses[0]


def test_equal_documents_give_equal_bytes(tmp_path):
    ora.write(sample(), tmp_path / "a.ora")
    ora.write(sample(), tmp_path / "b.ora")
    assert (tmp_path / "a.ora").read_bytes() == (tmp_path / "b.ora").read_bytes()


def test_layout_follows_the_specification(tmp_path):
    document = replace(sample(), width=700, height=90)
    ora.write(document, tmp_path / "a.ora")
    with zipfile.ZipFile(tmp_path / "a.ora") as archive:
        first = archive.infolist()[0]
        assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
        assert archive.read("mimetype") == b"image/openraster"
        assert Image.open(archive.open("Thumbnails/thumbnail.png")).size == (256, 33)
        merged = Image.open(archive.open("mergedimage.png"))
        assert np.array_equal(np.asarray(merged), flatten(document))
        assert merged.info["icc_profile"] == srgb_profile()
        image = ElementTree.fromstring(archive.read("stack.xml"))
    assert [element.get("name") for element in image.find("stack")] == ["Outer", "Hidden", "Inner", "Ground"]
    assert {element.get("isolation") for element in image.find("stack").iter("stack")} == {None, "isolate"}
    assert {element.get("src").split("/")[0] for element in image.iter("layer")} == {"data"}


def test_placed_layers_are_rasterized_and_reported(tmp_path):
    turned = Layer(id="r", name="Turned", rgba=noise(20, 30, 1), x=10.25, y=20, scale=(1.5, 0.5), angle=30)
    far = Layer(id="f", name="Far", rgba=noise(200, 200, 1), x=9e6, y=0, scale=(1e3, 1e3))
    document = replace(sample(), layers=(*sample().layers, turned, far))
    losses = ora.write(document, tmp_path / "a.ora")
    assert [name for loss in losses for name in ("Turned", "Far") if name in loss] == ["Far", "Turned"]
    again = ora.read(tmp_path / "a.ora")
    assert again.find("r").upright
    assert np.array_equal(flatten(again), flatten(document))


def test_what_xml_cannot_hold_and_what_ora_has_no_place_for_is_reported(tmp_path):
    document = Document(
        width=2,
        height=2,
        layers=(Layer(id="a", name="bell\x07 \ud800", rgba=noise(2, 2, 0)),),
        source=noise(2, 2, 0),
    )
    losses = ora.write(document, tmp_path / "a.ora")
    assert len(losses) == 2
    assert ora.read(tmp_path / "a.ora").layers[0].name == "bell\ufffd \ufffd"


def test_ids_of_foreign_layers_follow_from_order_and_name_and_copied_ids_stay_unique(tmp_path):
    xml = stack(
        '<layer name="Sky" src="data/a.png" lamina-id="x"/><layer name="Sky" src="data/a.png" lamina-id="x"/>'
        '<stack name="G" isolation="isolate"><layer name="Été" src="data/b.png"/></stack>'
    )
    document = ora.read(foreign(tmp_path / "a.ora", xml))
    assert [node.id for node in document.walk()] == ["00-g", "01-ete", "x", "03-sky"]


def test_group_that_blends_with_its_ground_gives_up_its_layers(tmp_path):
    inner = '<layer name="M" src="data/a.png" composite-op="svg:multiply"/>'
    ground = '<layer name="B" src="data/b.png"/>'
    passing = ora.read(foreign(tmp_path / "a.ora", stack(f'<stack name="P">{inner}</stack>{ground}')))
    plain = ora.read(foreign(tmp_path / "b.ora", stack(inner + ground)))
    assert np.array_equal(flatten(passing), flatten(plain))
    assert "P" in passing.meta["notes"][0]
    isolated = ora.read(foreign(tmp_path / "c.ora", stack(f'<stack isolation="isolate">{inner}</stack>{ground}')))
    assert not np.array_equal(flatten(isolated), flatten(plain))
    assert not isolated.meta


def test_group_with_a_blend_mode_becomes_one_layer_that_composites_the_same(tmp_path):
    inner = '<layer src="data/a.png" x="3" y="-2"/>'
    ground = '<layer src="data/b.png"/>'
    xml = stack(f'<stack name="G" composite-op="svg:screen" opacity="0.5">{inner}</stack>{ground}')
    document = ora.read(foreign(tmp_path / "a.ora", xml))
    alone = inner.replace("<layer", '<layer composite-op="svg:screen" opacity="0.5"')
    assert np.array_equal(flatten(document), flatten(ora.read(foreign(tmp_path / "b.ora", stack(alone + ground)))))
    assert "screen" in document.meta["notes"][0]


def test_unknown_parts_are_named_and_read_as_the_specification_asks(tmp_path):
    xml = stack('<filter type="x"/><layer name="O" src="data/a.png" composite-op="krita:gamma" opacity="7"/>')
    document = ora.read(foreign(tmp_path / "a.ora", xml))
    assert (document.layers[0].blend, document.layers[0].opacity) == (BlendMode.NORMAL, 1.0)
    assert [word in note for word, note in zip(("krita:gamma", "filter"), document.meta["notes"], strict=True)] == [
        True,
        True,
    ]


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 600), byte=st.sampled_from(b'\0\xff 9-"/<>&ax'), member=st.integers(0, 3))
def test_any_altered_byte_gives_a_document_or_a_format_error(tmp_path_factory, place, byte, member):
    path = foreign(tmp_path_factory.mktemp("fuzz") / "a.ora", MANY_SIDED)
    with zipfile.ZipFile(path) as archive:
        name = archive.namelist()[member]
        data = bytearray(archive.read(name))
    data[place % len(data)] = byte
    with suppress(FormatError):
        document = ora.read(rewritten(path, **{name.replace("/", "__").replace(".", "_"): bytes(data)}))
        assert flatten(document).shape == (document.height, document.width, 4)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 0.99])
def test_truncated_file_is_refused(tmp_path, share):
    ora.write(sample(), tmp_path / "a.ora")
    whole = (tmp_path / "a.ora").read_bytes()
    (tmp_path / "a.ora").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(FormatError, match="not an OpenRaster file"):
        ora.read(tmp_path / "a.ora")


def test_altered_layer_bytes_are_refused(tmp_path):
    ora.write(sample(), tmp_path / "a.ora")
    data = bytearray((tmp_path / "a.ora").read_bytes())
    data[data.index(b"IDAT") + 500] ^= 0xFF
    (tmp_path / "a.ora").write_bytes(data)
    with pytest.raises(FormatError, match="damaged"):
        ora.read(tmp_path / "a.ora")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mimetype": b"application/zip"}, "mimetype"),
        ({"mimetype": None}, "lacks the file 'mimetype'"),
        ({"stack_xml": None}, "lacks the file 'stack.xml'"),
        ({"stack_xml": b"<image"}, "not well-formed"),
        ({"stack_xml": b"<image/>"}, "no <image> with a <stack>"),
        ({"stack_xml": stack("", 0, 5)}, "0x5"),
        ({"stack_xml": stack("", 8001, 8000)}, "megapixels"),
        ({"stack_xml": stack("").replace(b'w="8"', b'w="wide"')}, "w='wide'"),
        ({"stack_xml": stack('<layer src="data/none.png"/>')}, "data/none.png"),
        ({"stack_xml": stack('<layer src="../../etc/passwd"/>')}, "lacks the file"),
        ({"stack_xml": stack('<layer src="/etc/passwd"/>')}, "lacks the file"),
        ({"stack_xml": stack("<layer/>")}, "lacks the file ''"),
        ({"stack_xml": stack('<layer src="mimetype"/>')}, "not a PNG"),
        ({"stack_xml": stack('<layer src="mergedimage.png" x="nan"/>')}, "x='nan'"),
        ({"stack_xml": stack("<stack>" * 70 + "</stack>" * 70)}, "deep"),
        ({"stack_xml": b"<!DOCTYPE i SYSTEM 'file:///etc/passwd'><image/>"}, "document type"),
    ],
)
def test_unusable_archive_is_refused_in_one_sentence(tmp_path, changes, words):
    ora.write(sample(), tmp_path / "a.ora")
    with pytest.raises(FormatError) as caught:
        ora.read(rewritten(tmp_path / "a.ora", **changes))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_entities_that_grow_are_refused_before_they_grow(tmp_path):
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    bomb = f'<!DOCTYPE image [<!ENTITY e0 "ha">{entities}]><image w="1" h="1"><stack name="&e11;"/></image>'
    with pytest.raises(FormatError, match="document type"):
        ora.read(foreign(tmp_path / "a.ora", bomb.encode()))


def test_pixels_beyond_the_limit_are_refused_before_they_are_decoded(tmp_path):
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    path = foreign(tmp_path / "a.ora", stack('<layer src="data/bomb.png"/>'), bomb=bomb)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="60000x60000"):
            ora.read(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_member_that_unpacks_beyond_the_limit_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.ora", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "image/openraster")
        archive.writestr("stack.xml", bytes(20 * 2**20))
    assert (tmp_path / "a.ora").stat().st_size < 30_000
    with pytest.raises(FormatError, match="unpacks to"):
        ora.read(tmp_path / "a.ora")


# Krita 5.1.5 (Debian 12) flattens from the layers: 8-bit integers, straight alpha, sRGB-encoded values; its opacity is
# cut, not rounded, to 8 bits. Under Xvfb, since it insists on an X server.


@pytest.fixture(scope="session")
def display(require_program) -> Iterator[str]:
    """An X server of this worker's own; it takes the first free number itself and tells it once it answers."""
    command = [require_program("Xvfb"), "-displayfd", "1", "-ac", "-nolisten", "tcp", "-screen", "0", "1280x1024x24"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout is not None
            number = server.stdout.readline().decode().strip()
            assert number, f"Xvfb ended with {server.wait(60)}"
            yield f":{number}"
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def krita(require_program, display, tmp_path_factory):
    home = tmp_path_factory.mktemp("krita")
    program = require_program("krita")

    def convert(source: Path, target: Path) -> Path:
        environment = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "LC_ALL": "C.UTF-8", "DISPLAY": display}
        run = [program, "--export", "--export-filename", str(target), str(source)]
        done = subprocess.run(run, env=os.environ | environment, capture_output=True, timeout=600)
        assert target.is_file(), done.stderr.decode()
        return target

    return convert


def spoiled(path: Path) -> Path:
    """The same file with a black merged image and thumbnail, so that only the layers can give the composite."""
    black = io.BytesIO()
    Image.new("RGBA", (100, 90), "black").save(black, "PNG")
    return rewritten(path, mergedimage_png=black.getvalue(), Thumbnails__thumbnail_png=black.getvalue())


def errors(theirs: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """Per pixel the largest difference, in 1/255; colour under alpha 0 does not count."""
    theirs, ours = theirs.astype(int), ours.astype(int)
    seen = (ours[..., 3:] > 0) | (theirs[..., 3:] > 0)
    return (np.abs(theirs - ours) * seen).max(axis=-1)


def flattened_by(krita, document: Document, folder: Path) -> np.ndarray:
    ora.write(document, folder / "in.ora")
    with Image.open(krita(spoiled(folder / "in.ora"), folder / "out.png")) as image:
        return np.array(image.convert("RGBA"))


@pytest.mark.peer
def test_krita_flattens_our_layers_to_our_composite(krita, tmp_path):
    off = errors(flattened_by(krita, sample(), tmp_path), flatten(sample()))
    assert off.max() <= 2
    assert (off <= 1).mean() >= 0.999


@pytest.fixture(scope="module")
def blended_by_krita(krita, tmp_path_factory):
    """Errors of every mode, from one picture with a tile for each: every start of Krita costs a second or two."""
    ground = Layer(id="bg", name="bg", rgba=noise(64, 64 * 16, 0, opaque=True))
    tiles = [
        Layer(id=mode, name=mode, rgba=noise(64, 64, 9), x=64 * place, blend=mode, opacity=0.8)
        for place, mode in enumerate(BlendMode)
    ]
    document = Document(width=64 * 16, height=64, layers=(ground, *tiles))
    off = errors(flattened_by(krita, document, tmp_path_factory.mktemp("blend")), flatten(document))
    return {mode: off[:, 64 * place : 64 * place + 64] for place, mode in enumerate(BlendMode)}


@pytest.mark.peer
@pytest.mark.parametrize("mode", BlendMode)
def test_krita_blends_as_we_do(blended_by_krita, mode):
    """Noise over noise, the hardest case. The five modes that Krita computes in several 8-bit steps reach 2/255 on
    0.2 % (exclusion, saturation) to 1.2 % (hue, color, luminosity) of the pixels; every other mode stays within 1."""
    in_steps = mode in ("exclusion", "hue", "saturation", "color", "luminosity")
    off = blended_by_krita[mode]
    assert off.max() <= 2
    assert (off <= 1).mean() >= (0.985 if in_steps else 0.999)


@pytest.mark.peer
def test_what_krita_writes_reads_back(krita, tmp_path):
    ora.write(sample(), tmp_path / "in.ora")
    document = ora.read(krita(tmp_path / "in.ora", tmp_path / "out.ora"))
    assert [(node.name, node.visible) for node in document.walk()] == [
        (node.name, node.visible) for node in sample().walk()
    ]
    off = errors(flatten(document), flatten(sample()))
    assert off.max() <= 2
    assert (off <= 1).mean() >= 0.999
