"""What a measurement is held against."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement and its bound."""

    scenario: str
    measured: str
    value: float
    bound: float
    least: bool = False
    """Whether the bound is the least that passes."""

    @property
    def passed(self) -> bool:
        return self.value >= self.bound if self.least else self.value <= self.bound

    def __str__(self) -> str:
        sign = "≥" if self.least else "≤"
        verdict = "PASS" if self.passed else "FAIL"
        return f"{self.scenario:34} {self.measured:56} {self.value:9.3f}  {sign} {self.bound:<7} {verdict}"
