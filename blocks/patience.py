"""How long a server of one's own is waited for, by how long it took so far: one that hangs shall not hold a text long.

It bills nothing, so that to ask somebody else costs nothing.
"""

_LEAST_S = 30.0
_TIMES = 10.0
"""The usual time: servers are shared, and swap."""
_ANSWERS = 2
"""The first call may have loaded the model."""


class Patience:
    """Of one server."""

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._each_s = 0.0
        """The slowest character yet."""
        self._answers = 0

    def deadline_s(self, text: str) -> float:
        """For the whole call."""
        if self._answers < _ANSWERS:
            return self._most_s
        return min(self._most_s, max(_LEAST_S, _TIMES * self._each_s * len(text)))

    def answered(self, text: str, seconds: float) -> None:
        self._answers += 1
        self._each_s = max(self._each_s, seconds / len(text))
