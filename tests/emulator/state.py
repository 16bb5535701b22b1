"""All that the emulator remembers, and what the control calls may change."""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.emulator import faults
from tests.emulator.accounts import ANYONE, DEFAULTS, Account, Entry, Holder, Plan, plan
from tests.emulator.script import Rule, Script
from tests.emulator.sound import Speaker
from tests.emulator.vendor import Vendor
from tests.emulator.vendors import VENDORS


@dataclass(frozen=True, slots=True)
class Start:
    """What the command line chose."""

    holders: Mapping[str, Holder]
    plans: Mapping[str, str]
    latency_s: float
    fast: bool


class State:
    def __init__(self, start: Start) -> None:
        self._start = start
        self.speaker = Speaker()
        self.reset()

    def reset(self) -> None:
        """As it was at the start, except for speech that is in the cache."""
        self.latency_s = self._start.latency_s
        self.speaker.fast = self._start.fast
        self._plans = {name: plan(name, DEFAULTS.get(name, "open")) for name in VENDORS}
        self.plan_names = {name: DEFAULTS.get(name, "open") for name in VENDORS}
        self._ahead_s = 0.0
        self.ledger: list[Entry] = []
        self.accounts: defaultdict[tuple[str, str], Account] = defaultdict(Account)
        self.scripts = {name: Script([]) for name in VENDORS}
        self.connections = 0
        self.listings = 0
        self.change({"plans": self._start.plans})

    def change(self, settings: Mapping[str, Any]) -> None:
        """`latency_s`, `fast`, `plans` by provider, and `forward_s`, which moves the clock. Raises ValueError."""
        if unknown := settings.keys() - {"latency_s", "fast", "plans", "forward_s"}:
            raise ValueError(f"There is no setting {', '.join(sorted(unknown))}.")
        for name, wanted in settings.get("plans", {}).items():
            self._plans[known(name)] = plan(name, wanted)
            self.plan_names[name] = wanted
        self.latency_s = float(settings.get("latency_s", self.latency_s))
        self.speaker.fast = bool(settings.get("fast", self.speaker.fast))
        self._ahead_s += float(settings.get("forward_s", 0.0))

    def instruct(self, name: str, rules: list[Mapping[str, Any]]) -> None:
        """These rules instead of those that the provider had; `*` is every provider. Raises ValueError or TypeError."""
        for vendor in VENDORS.values() if name == "*" else [VENDORS[known(name)]]:
            script = [Rule(**rule) for rule in rules]
            for rule in script:
                _refuse_unknown(rule, vendor)
            self.scripts[vendor.name] = Script(script)

    def plan(self, name: str) -> Plan:
        return self._plans[name]

    def holder(self, vendor: Vendor, key: str) -> Holder | None:
        return self._start.holders.get(key) if vendor.keyed else Holder(ANYONE, ANYONE)

    def now(self) -> float:
        return time.time() + self._ahead_s

    def facts(self) -> dict[str, Any]:
        accounts: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        for (vendor, name), account in self.accounts.items():
            accounts[vendor][name] = account.facts()
        return {
            "accounts": accounts,
            "plans": self.plan_names,
            "connections": self.connections,
            "listings": self.listings,
            "latency_s": self.latency_s,
            "fast": self.speaker.fast,
        }


_WORDS = {"on": ("speech", "list"), "retry_after": faults.RETRY_AFTER, "envelope": ("", "old", "list")}


def known(name: str) -> str:
    if name not in VENDORS:
        raise ValueError(f"There is no provider {name!r}: {', '.join(VENDORS)}.")
    return name


def fault_names(vendor: Vendor) -> dict[str, str]:
    """Every fault that this provider can play, with what it is."""
    rows = {name: f"{row.status} {row.code}: {row.message}" for name, row in vendor.rows.items()}
    shapes = {name: " ".join((shape.__doc__ or "").split()) for name, shape in vendor.shapes.items()}
    return rows | faults.MEANINGS | shapes


def _refuse_unknown(rule: Rule, vendor: Vendor) -> None:
    names = fault_names(vendor)
    if rule.fault not in names:
        raise ValueError(f"{vendor.name} has no fault {rule.fault!r}: {', '.join(names)}.")
    for name, words in _WORDS.items():
        if getattr(rule, name) not in words:
            raise ValueError(f"A rule's {name} is one of {', '.join(map(repr, words))}.")
