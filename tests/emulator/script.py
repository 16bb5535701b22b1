"""Which calls go wrong, and how."""

import random
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from tests.emulator.accounts import Holder


@dataclass(frozen=True, slots=True)
class Rule:
    """All conditions must hold; the first rule that holds is played."""

    fault: str
    probability: float = 1.0
    """Drawn from the seed, the rule's place, the text, and how often it was asked for: the same in any order."""
    seed: int = 0
    every: int = 0
    """Only each nth of the calls that the other conditions hold for."""
    times: int = 0
    """At most so often."""
    contains: str = ""
    """Only for texts with this in them."""
    account: str = ""
    key: str = ""
    """An alias, as the ledger has it: `account-1#1`."""
    on: Literal["speech", "list"] = "speech"
    at: int | None = None
    """Bytes, for faults that cut or drip."""
    seconds: float = 1.0
    """To wait, for rows that ask to; between pieces, for `drip`."""
    retry_after: Literal["", "int", "decimal", "date", "ms"] = ""
    """Sent with an error row, asking for `seconds`."""
    envelope: Literal["", "old", "list"] = ""
    """For error rows: the vendor's older form, or the form of its validator (ElevenLabs), or a list (Gemini)."""
    billed: bool | None = None
    """None: as such a fault usually is."""


class Script:
    """The rules for one provider, and what they have seen."""

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules
        self._asked: Counter[str] = Counter()
        self._met: Counter[int] = Counter()
        self._played: Counter[int] = Counter()

    def rule(self, on: str, text: str, holder: Holder) -> Rule | None:
        self._asked[text] += 1
        for number, rule in enumerate(self._rules):
            if _concerns(rule, on, text, holder) and self._is_due(number, rule, text):
                self._played[number] += 1
                return rule
        return None

    def _is_due(self, number: int, rule: Rule, text: str) -> bool:
        self._met[number] += 1
        if rule.times and self._played[number] >= rule.times:
            return False
        if rule.every and self._met[number] % rule.every:
            return False
        # The seed is text: random.Random hashes it the same in each process.
        return random.Random(f"{rule.seed} {number} {self._asked[text]} {text}").random() < rule.probability


def _concerns(rule: Rule, on: str, text: str, holder: Holder) -> bool:
    return (
        rule.on == on
        and rule.contains in text
        and rule.account in {"", holder.account}
        and rule.key in {"", holder.alias}
    )
