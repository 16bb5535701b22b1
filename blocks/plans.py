"""What a provider's plan allows an account."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    provider: str
    name: str
    in_flight: int
    """Calls at one time, over all runs of this Prefect server."""

    @property
    def tag(self) -> str:
        """The Prefect concurrency-limit tag that stands for this plan."""
        return f"{self.provider}:{self.name}"


def local(provider: str) -> Plan:
    """The plan of an engine on this machine: a call for each core we may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Plan(provider, "local", cores)
