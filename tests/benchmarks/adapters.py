"""What a call through each adapter costs beside bare httpx doing the same POST, and what the proof of a clip costs.

`uv run python tests/benchmarks/adapters.py [--calls 500] [--rounds 7]`: two minutes. The emulator answers at once, in
a process of its own; both sides take turns in this one. Exit code 1 when a bound is broken: wall time has none, because
machines are shared.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
IN_FLIGHT = 8
OVERHEAD_BOUND, PROOF_BOUND_MS = 1.5, 3.0
CLIP_S = 6.0
TEXT = "The keeper of the light climbed the stair, counted each step under his breath, and looked out at the dark sea."
BARE_HEADERS = {"host", "accept", "accept-encoding", "connection", "user-agent", "content-length", "content-type"}

Call = Callable[[], Awaitable[object]]


async def cost_ms(call: Call, calls: int) -> tuple[float, float]:
    """Milliseconds of wall time and of this process's CPU for one of many calls, some of them in flight together."""
    left = iter(range(calls))

    async def lane() -> None:
        for _ in left:
            await call()

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(lane() for _ in range(IN_FLIGHT)))
    return (time.perf_counter() - wall) * 1000 / calls, (time.process_time() - cpu) * 1000 / calls


async def overhead(name: str, server: str, calls: int, rounds: int) -> list[float]:
    """Wall time and CPU of the adapter, and of bare httpx: rounds take turns.

    CPU is the median round, and what the bound is for. Wall time is the least, and still holds whoever else runs here.
    """
    from blocks.providers import opened
    from blocks.speech import Voice

    sent: list[httpx.Request] = []
    async with opened(name, server) as provider:
        voice = await provider.resolve(Voice(name))
        hooks = provider._wire._client.event_hooks

        async def note(request: httpx.Request) -> None:
            sent.append(request)

        provider._wire._client.event_hooks = {**hooks, "request": [note]}
        await provider.synthesise(TEXT, voice)
        provider._wire._client.event_hooks = hooks
        request = sent[-1]
        own = {key: value for key, value in request.headers.items() if key not in BARE_HEADERS}
        async with httpx.AsyncClient(headers=own, limits=httpx.Limits(max_keepalive_connections=None)) as client:

            async def bare() -> object:
                answer = await client.post(str(request.url), json=body)
                assert answer.status_code == 200
                return answer.content

            body = json.loads(request.content)
            sides: list[Call] = [lambda: provider.synthesise(TEXT, voice), bare]
            costs: list[list[tuple[float, float]]] = [[], []]
            for side in sides:
                await cost_ms(side, calls // 5)  # connections open, caches fill
            for number in range(rounds):
                for side in (0, 1) if number % 2 else (1, 0):
                    costs[side].append(await cost_ms(sides[side], calls))
    return [figure for side in costs for figure in (min(w for w, _ in side), statistics.median(c for _, c in side))]


async def proof_ms() -> float:
    """The measurement of a clip of real speech: the median of many."""
    import io

    import numpy as np
    import soundfile

    from blocks.providers import opened
    from blocks.speech import Voice
    from tasks.verify import measure

    async with opened("espeak") as provider:
        spoken = await provider.synthesise(f"{TEXT} {TEXT}", await provider.resolve(Voice("espeak", language="en-us")))
    samples, rate = soundfile.read(io.BytesIO(spoken.data), dtype="int16")
    count = round(CLIP_S * 24_000)
    places = np.arange(count) * (rate / 24_000)
    assert places[-1] < len(samples)
    clip = io.BytesIO()
    sound = np.interp(places, np.arange(len(samples)), samples).round().astype(np.int16)
    soundfile.write(clip, sound, 24_000, "PCM_16", format="WAV")
    data = clip.getvalue()
    times = []
    for _ in range(200):
        began = time.perf_counter()
        assert measure(data).speech_s > 0.9 * CLIP_S
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def row(name: str, ours: float, bare: float | None, figure: float, bound: float | None) -> bool:
    kept = bound is None or figure <= bound
    beside = "" if bare is None else f"{bare:.2f} ms"
    verdict = "" if bound is None else f"<= {bound}: {'PASS' if kept else 'FAIL'}"
    print(f"{name:36} {ours:7.2f} ms {beside:>10} {figure:7.2f}  {verdict}")
    return kept


def main(calls: int, rounds: int) -> int:
    from tests.emulator.fixture import started
    from tests.test_providers import ROWS

    names = [provider.name for provider in ROWS if provider.emulated]
    kept = []
    print(f"{calls} calls, {IN_FLIGHT} in flight, {rounds} rounds\n{'':36} {'ours':>10} {'bare':>10} {'ratio':>7}")
    for name in names:
        os.environ[f"{name.upper()}_API_KEYS"] = "test-key-1"
        with started() as emulator:
            emulator.settings(fast=True, plans={name: "-/-"})
            wall, cpu, bare_wall, bare_cpu = asyncio.run(overhead(name, emulator.server(name), calls, rounds))
        kept.append(row(f"{name}, a call", wall, bare_wall, wall / bare_wall, None))
        kept.append(row(f"{name}, CPU of this process", cpu, bare_cpu, cpu / bare_cpu, OVERHEAD_BOUND))
    proof = asyncio.run(proof_ms())
    kept.append(row(f"proof of {CLIP_S:.0f} s of speech", proof, None, proof, PROOF_BOUND_MS))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    sys.exit(main(options.calls, options.rounds))
