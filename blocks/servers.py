"""Several servers of one's own that are to speak alike: asked before the first call, free of charge."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from blocks.speech import BadInput, BadVoice, CallFailed, Provider, SpeechError, Unanswered, Unreachable, Voice

GRACE_S = 5.0
"""How long the others are waited for once one has answered: a server that is down holds no run up."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What all that answered make of a voice."""

    voice: Voice
    provider: Provider
    down: Mapping[str, str]
    """By the name of each server that did not answer: why."""


async def agreed(servers: Mapping[str, Provider], voice: Voice) -> Agreed:
    """The voice as the first that answers spells it. Raises BadInput where none does, or one has another voice."""
    answers = await _answers(servers, voice)
    down = {name: str(answer) for name, answer in answers.items() if _is_down(answer)}
    wrong = {name: answer for name, answer in answers.items() if isinstance(answer, BadInput) and name not in down}
    spelt = {name: answer for name, answer in answers.items() if isinstance(answer, Voice)}
    if not wrong and not spelt:
        told = "; ".join(reason.rstrip(".") for reason in down.values())
        raise BadInput(f"None of the {len(servers)} servers answers: {told}.")
    if not spelt:
        raise next(iter(wrong.values()))
    first, chosen = next(iter(spelt.items()))
    for name, error in wrong.items():
        raise type(error)(f"{name} does not speak like {first}: {error}") from error
    for name in spelt:
        await _check_alike(name, servers[name], first, chosen)
    return Agreed(chosen, servers[first], down)


async def _check_alike(name: str, server: Provider, first: str, chosen: Voice) -> None:
    """Raises BadVoice. What it has is known by now: this is no question of the network."""
    try:
        own = await server.resolve(chosen)
    except BadVoice as error:
        raise BadVoice(f"{name} does not speak like {first}: {error}") from error
    if own != chosen:
        raise BadVoice(f"{name} does not speak like {first}: its {chosen.name} speaks {own.language}, {own.model}.")


def _is_down(answer: Voice | SpeechError) -> bool:
    if isinstance(answer, BadInput):
        return isinstance(answer.__cause__, Unreachable | Unanswered)
    return isinstance(answer, CallFailed)


async def _answers(servers: Mapping[str, Provider], voice: Voice) -> dict[str, Voice | SpeechError]:
    """Of each, in order; the slow ones are left a while once somebody has answered."""
    asked = {name: asyncio.create_task(_answer(server, voice)) for name, server in servers.items()}
    try:
        open_ = set(asked.values())
        while open_ and not any(task.done() and not _is_down(task.result()) for task in asked.values()):
            _, open_ = await asyncio.wait(open_, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(asked.values(), timeout=GRACE_S)
        slow = Unanswered(f"no answer within {GRACE_S:.0f} s of the others'")
        return {name: task.result() if task.done() else slow for name, task in asked.items()}
    finally:
        for task in asked.values():
            task.cancel()
        await asyncio.wait(asked.values())


async def _answer(server: Provider, voice: Voice) -> Voice | SpeechError:
    try:
        return await server.resolve(voice)
    except SpeechError as error:
        return error
