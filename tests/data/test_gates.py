"""Gates by name, and the face gate on a real face."""

import cv2
import numpy as np
import pytest

from lamina.data.gates import blurred_faces, named
from lamina.data.sample import Sample
from lamina.errors import InputError


def sample(rgb: np.ndarray) -> Sample:
    opaque = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    return Sample(composite=rgb, layers=opaque[None], kinds=("ground",), seed=0)


def test_a_blurred_face_is_found_and_a_sharp_one_is_not():
    from skimage.data import astronaut

    sharp = np.ascontiguousarray(astronaut())
    blurred = sharp.copy()
    blurred[40:210, 150:300] = cv2.GaussianBlur(sharp, (0, 0), 4)[40:210, 150:300]
    assert blurred_faces(sample(sharp)) is None
    assert "is blurred" in str(blurred_faces(sample(blurred)))


def test_gates_are_found_by_name_and_wrong_names_are_told():
    assert named("harvest_gates:no_text")(sample(np.zeros((9, 9, 3), np.uint8))) is None
    for name, words in (
        ("nothing", "module:function"),
        ("no.such.module:f", "there is no gate"),
        ("lamina.data.gates:none", "there is no gate"),
        ("lamina.data.gates:_LEAST_SIDE", "expected a function"),
    ):
        with pytest.raises(InputError, match=words):
            named(name)
