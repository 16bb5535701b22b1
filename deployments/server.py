"""A Prefect server of our own, for a machine whose profile names none: started, used, and ended with its starter.

Prefect would start a temporary server itself, but that one runs no repossessor and keeps leases in memory:
a run killed with -9 would leave its slots taken for ever.
"""

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import httpx

from blocks import storage
from blocks.speech import BadInput, RunFailed

START_TIMEOUT_S = 120
SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # In memory, the slots of a killed run are lost until somebody resets them by hand.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # A lane that waits for a slot asks again this often; the default of 10 s leaves freed slots idle.
    "PREFECT_SERVER_TASKS_TAG_CONCURRENCY_SLOT_WAIT_SECONDS": "0.25",
    # One transaction for each task-run event is more than SQLite keeps up with.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
}
"""For every server that `speech` starts; set the same on a server of your own."""
TEMPORARY = {
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
}
"""What nobody needs from a server that lives as long as one command."""


class Server:
    """One server process and where it listens."""

    def __init__(self, port: int, settings: dict[str, str]) -> None:
        self.api_url = f"http://127.0.0.1:{port}/api"
        self.log = storage.home() / "server.log"
        environment = {**settings, **os.environ, "PREFECT_API_URL": self.api_url}
        with self._opened_log() as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "deployments.server", str(port)],
                cwd=Path(__file__).parent.parent,
                stdin=subprocess.PIPE,  # its end tells the server that we are gone, however we went
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C is the command's: it still has states to report
            )

    def _opened_log(self) -> IO[bytes]:
        """Of this server alone. Raises BadInput where SPEECH_HOME cannot be written."""
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            return self.log.open("wb")
        except OSError as error:
            raise BadInput(f"cannot write {self.log}: {error.strerror}; name another folder as SPEECH_HOME") from error

    def wait_until_healthy(self) -> None:
        """Return when it answers. Raises RunFailed when it ends or takes too long."""
        deadline = time.monotonic() + START_TIMEOUT_S
        # One client: to make one takes as long as to ask, and the server that starts wants the processor, too.
        with httpx.Client(timeout=5) as http:
            while time.monotonic() < deadline and self._process.poll() is None:
                with suppress(httpx.TransportError):
                    if http.get(f"{self.api_url}/health").status_code == httpx.codes.OK:
                        return
                time.sleep(0.05)
        self.stop()
        raise RunFailed(f"the Prefect server did not start: {self.log} tells why")

    def stop(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def connect() -> Server | None:
    """Use the server that the Prefect profile names (then None), or start one for this command.

    It is still starting when this returns, and ends when the interpreter does: after Prefect's own exit handlers,
    which send it the last logs and states. To be called before Prefect is imported.
    """
    if _may_be_named() and (named := _named()):
        _see_that_it_answers(named)
        return None
    server = Server(free_port(), {**SETTINGS, **TEMPORARY})
    atexit.register(server.stop)
    os.environ["PREFECT_API_URL"] = server.api_url
    if "prefect.context" in sys.modules:
        sys.modules["prefect.context"].refresh_global_settings_context()
    return server


def _may_be_named() -> bool:
    """Whether anything could name a server. Prefect knows for sure, but takes two seconds to ask."""
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH", home / "profiles.toml"))
    places = [profiles, *map(Path, ["prefect.toml", "pyproject.toml", ".env"])]
    texts = [place.read_text(errors="replace").lower() for place in places if os.access(place, os.R_OK)]
    return "PREFECT_API_URL" in os.environ or any("prefect" in text and "api" in text for text in texts)


def _see_that_it_answers(api_url: str) -> None:
    """Raises RunFailed."""
    try:
        httpx.get(f"{api_url}/health", timeout=10)
    except httpx.TransportError as error:
        raise RunFailed(
            f"the Prefect server {api_url} does not answer ({error}): start it, or take PREFECT_API_URL out of the "
            "environment or the Prefect profile"
        ) from error


def _named() -> str | None:
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_parent() -> None:
    while os.read(0, 1):  # not sys.stdin: its lock would be taken when the interpreter ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    import uvicorn

    threading.Thread(target=_end_with_parent, daemon=True).start()
    uvicorn.run(
        "prefect.server.api.server:create_app", factory=True, host="127.0.0.1", port=int(sys.argv[1]), log_level="error"
    )
