"""What happens to keys and accounts, for whoever looks back: one line each, never a secret."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    at: float
    """UTC, seconds since 1970."""
    provider: str
    subject: str
    """The key, account or provider that it happened to."""
    kind: str
    reason: str
    until: float = 0.0
    """When what began here ends by itself; 0 if that is not known."""
