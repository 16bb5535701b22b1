"""The wire formats that the emulator speaks, by the place where it serves them."""

from collections.abc import Mapping

from tests.emulator.vendor import Vendor
from tests.emulator.vendors.cartesia import Cartesia
from tests.emulator.vendors.compatibles import EdgeTts, KokoroFastApi, Speaches
from tests.emulator.vendors.elevenlabs import ElevenLabs
from tests.emulator.vendors.f5 import F5
from tests.emulator.vendors.gemini import Gemini
from tests.emulator.vendors.openai import OpenAi
from tests.emulator.vendors.piper import Piper

_ALL: tuple[Vendor, ...] = (
    Gemini(),
    Cartesia(),
    ElevenLabs(),
    OpenAi(),
    KokoroFastApi(),
    Speaches(),
    EdgeTts(),
    F5(),
    Piper(),
)
VENDORS: Mapping[str, Vendor] = {vendor.name: vendor for vendor in _ALL}
