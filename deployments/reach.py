"""A Prefect server, ready for the commands that ask it: it keeps the blocks, and the records of the runs."""


def reach_prefect() -> None:
    """Use the server that the profile names, or start one. Raises RunFailed where it does not answer."""
    from deployments.narration import settle_prefect
    from deployments.server import connect

    settle_prefect()
    if started := connect():
        started.wait_until_healthy()
