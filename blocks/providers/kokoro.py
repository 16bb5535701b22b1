"""Kokoro on this machine, through kokoro-onnx (the extra `kokoro`). The model is the user's own.

It lives in worker processes (see `kokoro_worker`), one for each call in flight, which load it once.
"""

import asyncio
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from blocks.blame import check_text
from blocks.plans import local
from blocks.providers.espeak_text import speakable
from blocks.providers.kokoro_voices import Model, espeak_language, find, resolve
from blocks.sound import Shape, wav
from blocks.speech import Audio, BadInput, BadVoice, EngineFailed, Limits, NotSpeech, Offer, Voice
from blocks.workers import Pool

_RATE = 24_000
_THREADS = 1
"""Of a worker: there is one for each core."""
_START_S = 120.0
_DEADLINE_S = 60.0
_DEADLINE_S_PER_PHONEME = 0.5
_QUIET = {"ORT_DISABLE_TELEMETRY": "1"}
"""onnxruntime reports to its vendor, unless it is told not to before it is loaded."""
_WORKER = Path(__file__).with_name("kokoro_worker.py")


class Kokoro:
    """A Provider. Belongs to the event loop that it is first used on."""

    name = "kokoro"
    # About what the model speaks in one go, 510 phonemes; of numbers, which have more, it makes pieces by itself.
    limits = Limits(characters=400, bytes=1600)
    call_s = 5.0

    def __init__(self) -> None:
        if find_spec("kokoro_onnx") is None:
            raise BadInput(
                "kokoro needs its extra, on Python 3.11 to 3.13: `uv sync --extra kokoro` in a checkout, "
                "or `pip install 'speech-flows[kokoro]'`."
            )
        self.plan = local(self.name)
        self._pool = Pool(self.name, self.plan.in_flight, _QUIET)
        self._models: dict[str, Model] = {}

    async def voices(self) -> Sequence[Offer]:
        """Of the model that stands where it is looked for when none is named."""
        return (await self._model("")).offers

    async def resolve(self, voice: Voice) -> Voice:
        """`voice.model` is the folder of the model and its voices, or the .onnx file; it becomes what they hold.

        Empty, it is the folder `kokoro` under SPEECH_HOME. A model that does not load is refused here.
        """
        return resolve(voice, await self._model(voice.model))

    async def synthesise(self, text: str, voice: Voice) -> Audio:
        """A WAV file, 24,000 samples a second, 16 bits, mono."""
        check_text(self.name, text, self.limits)
        model = await self._model(voice.model)
        order = {
            "text": speakable(text),
            "language": espeak_language(voice.name),
            "voice": voice.name,
            "speed": voice.speed,
            "seconds": _DEADLINE_S,
            "each": _DEADLINE_S_PER_PHONEME,
        }
        async with self._pool.worker(_command(model)) as worker:
            answer = await worker.ask(json.dumps(order).encode())
        if not answer.startswith(b"s"):
            raise NotSpeech(f"{answer[1:].decode()}.")
        return Audio(wav(answer[1:], Shape(_RATE)), "wav")

    async def close(self) -> None:
        """End all workers; calls that still run, or come later, fail."""
        await self._pool.close()

    async def _model(self, asked: str) -> Model:
        """By its place, or by the name that it got. Raises BadVoice."""
        if asked not in self._models:
            model = await asyncio.to_thread(find, asked)
            try:
                async with self._pool.worker(_command(model)) as worker:
                    await worker.ready()
            except EngineFailed as error:
                raise BadVoice(f"The model {model.network} does not load: {error}") from error
            self._models[asked] = self._models[model.tag] = model
        return self._models[asked]


def _command(model: Model) -> tuple[str, ...]:
    return (str(_WORKER), str(model.network), str(model.voices), str(_THREADS), str(_START_S))
