"""Where Prefect keeps the results of runs: in a bucket where they are to outlive this machine, as small JSON."""

import os
from hashlib import sha256

from blocks.bucket import SLUG, SpeechStorage, stored_for
from blocks.storage import is_remote


async def keep_results_in(address: str) -> None:
    """Have the flows that this process starts keep their results there; the Prefect server is told how to read them.

    Raises RunFailed where it cannot be asked.
    """
    from prefect.context import refresh_global_settings_context

    if not is_remote(address):
        os.environ["PREFECT_RESULTS_LOCAL_STORAGE_PATH"] = address
    else:
        name = f"results-{sha256(address.encode()).hexdigest()[:8]}"
        known = await stored_for(address)
        block = known.model_copy(update={"address": address}) if known else SpeechStorage(address=address)
        await block.asave(name, overwrite=True)
        os.environ["PREFECT_DEFAULT_RESULT_STORAGE_BLOCK"] = f"{SLUG}/{name}"
    refresh_global_settings_context()
