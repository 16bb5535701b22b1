"""What a provider's plan allows an account, by dated, published lists.

Where nothing is published, the plan is a cautious guess that refusals correct; an ApiKey block tells what was agreed
with the vendor. Limits belong to accounts: the keys of one account share them.
"""

import os
from dataclasses import dataclass

PACIFIC = "America/Los_Angeles"
OWN = "server"
"""The plan of a server of one's own, which asks for no key."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Limits of one account; 0 where none is known."""

    provider: str
    name: str
    in_flight: int
    """Calls at one time."""
    per_minute: int = 0
    per_day: int = 0
    day_ends: str = "UTC"
    """The time zone at whose midnight the calls of a day come back."""
    per_model: bool = False
    """Whether each model has limits of its own."""
    dated: str = ""
    source: str = ""

    @property
    def tag(self) -> str:
        """The Prefect concurrency-limit tag that stands for this plan."""
        return f"{self.provider}:{self.name}"


def _in_flight(provider: str, listed: str, **plans: int) -> tuple[Plan, ...]:
    dated, source = listed.split(", ", 1)
    return tuple(Plan(provider, name, most, dated=dated, source=source) for name, most in plans.items())


def _gemini(name: str, in_flight: int, per_minute: int, per_day: int) -> Plan:
    """Google shows an account's limits in AI Studio only."""
    source = "what people saw of the speech models; your own limits stand in AI Studio"
    return Plan("gemini", name, in_flight, per_minute, per_day, PACIFIC, per_model=True, dated="2026-11", source=source)


PLANS: dict[str, tuple[Plan, ...]] = {
    "cartesia": _in_flight(
        "cartesia", "2026-11, docs.cartesia.ai concurrency limits", free=2, pro=3, startup=5, scale=15
    ),
    "elevenlabs": _in_flight(
        "elevenlabs", "2026-09, elevenlabs.io/docs/models", free=2, starter=3, creator=5, pro=10, scale=15, business=15
    ),
    # Who does not say the plan shall not be kept to ten calls a day: refusals tell the limits of the default.
    "gemini": (
        _gemini("default", 3, 0, 0),
        _gemini("free", 3, 10, 10),
        _gemini("tier1", 5, 10, 100),
        _gemini("tier2", 10, 100, 0),
    ),
    "openai": (
        Plan("openai", "default", 4, dated="2026-08", source="no table is published: limits stand in each account"),
        Plan("openai", OWN, 1),
    ),
    # A graphics card says one thing at a time; Piper's server has one worker.
    "f5": (Plan("f5", OWN, 1),),
    "piper": (Plan("piper", OWN, 1),),
    "kokoro": (Plan("kokoro", OWN, 1),),
}
"""Of each provider that is not this machine itself; the first is taken where nobody names one."""


def local(provider: str) -> Plan:
    """The plan of an engine on this machine: a call for each core we may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Plan(provider, "local", cores)
