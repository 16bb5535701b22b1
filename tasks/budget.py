"""What a run may spend: the word before the first call, and before the one that would break it."""

import math

from blocks.prices import price_of
from blocks.speech import BadInput, RunFailed, Voice


class BudgetSpent(RunFailed):
    """The next call might cost more than is left; nothing of it was called, and what was spoken is kept."""

    def __init__(self, budget_usd: float, billed_usd: float, open_usd: float, next_usd: float) -> None:
        may = f", up to {open_usd:.4f} for calls that are under way or were not answered" if open_usd else ""
        super().__init__(
            f"the budget of {budget_usd:g} USD is met: {billed_usd:.4f} spent{may}, and the next call may cost "
            f"{next_usd:.4f}. Run the same command again with a --budget for the rest, and without --fresh: finished "
            "speech is kept, and a new run counts from nothing (resumed, this one would stop here again)"
        )


def check_budget(usd: float) -> None:
    """Raises BadInput for what is no sum."""
    if not 0 <= usd < math.inf:
        raise BadInput(f"a budget of {usd} USD is not to be had: name what the run may spend, or 0 for no bound")


def check_priced(voice: Voice, budget_usd: float) -> None:
    """Raises BadInput where nobody could say when the budget is met."""
    if budget_usd and price_of(voice) is None:
        who = " ".join(filter(None, (voice.provider, voice.model, voice.server and f"at {voice.server}")))
        raise BadInput(
            f"no price is listed for {who}, so a budget cannot be kept: leave --budget out, or take another voice"
        )
