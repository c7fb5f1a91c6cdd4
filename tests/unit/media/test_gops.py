from fractions import Fraction

from media.gops import LongGops
from media.probe import Packet


def stream(*gops_s: int) -> LongGops:
    """Give what is remembered of GOPs of two pictures, each as long as told."""
    found, at = LongGops(), Fraction(0)
    for gop_s in gops_s:
        for is_key in (True, False):
            found.see(Packet("video", 0, at, Fraction(gop_s, 2), is_key=is_key))
            at += Fraction(gop_s, 2)
    return found


def test_long_gops_last_from_keyframe_to_keyframe_and_the_last_one_to_the_end():
    assert stream(10, 40, 12, 20).found() == ((10, 50), (62, 82))


def test_pictures_without_any_keyframe_are_one_gop():
    found = LongGops()
    for at in range(20):
        found.see(Packet("video", 0, Fraction(at), Fraction(1)))
    assert found.found() == ((0, 20),)


def test_of_any_number_the_longest_are_remembered():
    found = stream(*range(13, 1013)).found()
    lengths = [end - start for start, end in found]
    assert lengths == list(range(773, 1013))
