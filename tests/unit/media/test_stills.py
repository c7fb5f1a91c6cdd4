import pytest
from PIL import Image

from media.stills import fitted


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1920, 1080), (240, 135)),
        ((1080, 1920), (240, 427)),
        ((16, 4096), (2, 427)),
        ((4096, 16), (240, 1)),
        ((24, 24), (240, 240)),
    ],
)
def test_a_tile_fits_into_its_box_whatever_the_shape(size, expected):
    assert fitted(Image.new("RGB", size), (240, 427)).size == expected
