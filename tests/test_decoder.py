"""Sound files from front to back: the quick way for plain WAV files hears what soundfile hears."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from blocks.decoder import Decoder, Plain, opened


def wav(samples: "np.ndarray[tuple[int, int], np.dtype[np.int16]]", rate: int, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype, format="WAV")
    return file.getvalue()


@given(
    values=st.lists(st.integers(-32768, 32767), min_size=8, max_size=400),
    channels=st.integers(1, 4),
    rate=st.sampled_from([8_000, 22_050, 24_000, 48_000]),
)
def test_a_plain_file_sounds_alike(values: list[int], channels: int, rate: int) -> None:
    """Sample by sample, as integers and as floats, whatever its rate and channels."""
    rows = len(values) // channels
    data = wav(np.array(values[: rows * channels], np.int16).reshape(rows, channels), rate)
    for kind in ("int16", "float32"):
        with opened(data) as quick, Decoder(data) as slow:
            assert quick.samplerate == slow.samplerate
            np.testing.assert_array_equal(quick.whole(kind), slow.whole(kind))


@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT", "PCM_U8"])
def test_what_is_not_plain_goes_the_long_way(subtype: str) -> None:
    """Other samples, a head whose sizes are placeholders, and a file that is cut."""
    tone = np.full((100, 1), 1000, np.int16)
    assert isinstance(opened(wav(tone, 24_000)), Plain)
    plain = wav(tone, 24_000)
    for other in (wav(tone, 24_000, subtype), plain[:-2], plain[:40] + b"\xff\xff\xff\xff" + plain[44:]):
        with opened(other) as file:
            assert isinstance(file, Decoder)
