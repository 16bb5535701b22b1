"""The notebooks under examples/ run from top to bottom, and show what they promise."""

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parent.parent / "examples"


def shown(name: str, prefect_server: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the cells of a notebook show, as HTML."""
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setenv("SPEECH_HOME", str(place / "home"))
    assert "PREFECT_HOME" in os.environ
    notebook: Any = nbformat.read(EXAMPLES / name, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(place)}}).execute()
    return [
        next(output["data"]["text/html"] for output in cell["outputs"] if "text/html" in output.get("data", {}))
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # the kernel's client has its own
def test_narrate(prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording shows itself with a player, and its manifest as a table of chunks."""
    player, table = shown("narrate.ipynb", prefect_server, tmp_path, monkeypatch)
    assert "<audio controls" in player
    assert "The lamp was lit." in table


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_wordlist(prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DataFrame goes in; out come players for each cell, and the frame with the addresses of the clips."""
    players, frame, manifest = shown("wordlist.ipynb", prefect_server, tmp_path, monkeypatch)
    assert players.count("<audio controls") == 6
    assert "ngọn hải đăng" in players
    assert "audio.word" in frame
    assert "audio.vietnamese" in frame
    assert manifest.count("<tr") == 7
