"""`speech up`: a person opens Prefect's UI, fills in the form, and gets a recording."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.served import Served, wait_until


@pytest.fixture(scope="module")
def up(served: Served) -> str:
    """Its address."""
    return served.api.removesuffix("/api")


def deployments(address: str) -> list[dict[str, Any]]:
    return newest(address, "deployments")


def newest(address: str, of: str, **filters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.post(f"{address}/api/{of}/filter", json=filters).json()
    return found


def test_every_parameter_has_a_sentence(up: str) -> None:
    """The form tells of each parameter what it is; file, flow and deployment bear one name."""
    served = {deployment["name"]: deployment for deployment in deployments(up)}
    assert sorted(served) == ["check_keys", "narrate", "prune_runs", "voice_wordlist"]
    for flow, deployment in served.items():
        assert deployment["entrypoint"].endswith(f"flows/{flow}.py:{flow}")
        for name, field in deployment["parameter_openapi_schema"]["properties"].items():
            assert field.get("description"), name
    assert [schedule["schedule"]["cron"] for schedule in served["check_keys"]["schedules"]] == ["23 * * * *"]


def test_a_key_has_a_form(up: str) -> None:
    """Before there is a key, the UI knows what one is, and tells of each field what it is for."""
    [kind] = newest(up, "block_types", block_types={"slug": {"any_": ["speech-api-key"]}})
    [schema] = newest(up, "block_schemas", block_schemas={"block_type_id": {"any_": [kind["id"]]}})
    assert set(schema["fields"]["properties"]) >= {"provider", "key", "account", "plan", "enabled"}
    assert all(field.get("description") for field in schema["fields"]["properties"].values())
    assert schema["fields"]["secret_fields"] == ["key"]


def submitted(up: str, browser: webdriver.Chrome, flow: str, *values: str) -> dict[str, Any]:
    """The run that the form of a flow starts, with these as its first texts, when it is over; and its artifacts."""
    [deployment] = [deployment for deployment in deployments(up) if deployment["name"] == flow]
    others = {run["id"] for run in newest(up, "flow_runs")}
    browser.set_window_size(1300, 2400)
    browser.get(f"{up}/deployments/deployment/{deployment['id']}/run")

    def drawn(page: webdriver.Chrome) -> list[Any] | None:
        fields = page.find_elements(By.TAG_NAME, "textarea")
        return fields[: len(values)] if len(fields) >= len(values) else None

    for field, value in zip(WebDriverWait(browser, 60).until(drawn), values, strict=True):
        field.clear()
        field.send_keys(value)
    browser.find_element(By.XPATH, "//button[normalize-space()='Submit']").click()

    def of_the_form() -> list[dict[str, Any]]:
        filters = {"deployments": {"id": {"any_": [deployment["id"]]}}}
        return [run for run in newest(up, "flow_runs", **filters) if run["id"] not in others]

    over = {"COMPLETED", "FAILED", "CRASHED"}
    wait_until(lambda: any(run["state_type"] in over for run in of_the_form()), 120, of_the_form)
    [run] = of_the_form()
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    mine = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
    return {artifact["key"]: artifact for artifact in newest(up, "artifacts", **mine)}


def test_a_run_from_the_form(up: str, browser: webdriver.Chrome, tmp_path: Path) -> None:
    """Filled in and submitted in the browser, the form makes a recording, a progress artifact and a table of chunks."""
    (tmp_path / "story.txt").write_text("The keeper climbed the stairs.\n\nIt was lit.")
    artifacts = submitted(up, browser, "narrate", str(tmp_path / "story.txt"), str(tmp_path / "out"))
    assert (tmp_path / "out" / "story.mp3").stat().st_size
    assert artifacts["progress"]["data"] == 100
    assert "2 chunks" in artifacts["chunks"]["description"]


def test_a_word_list_from_the_form(up: str, browser: webdriver.Chrome, tmp_path: Path) -> None:
    """A table, its fields and a folder are enough: a clip for each cell is there."""
    table = tmp_path / "words.csv"
    table.write_text("word,meaning\ncat,an animal\n")
    artifacts = submitted(up, browser, "voice_wordlist", str(table), "word,meaning", str(tmp_path / "out"))
    assert (tmp_path / "out" / "words" / "cat" / "meaning.mp3").stat().st_size
    assert "2 chunks" in artifacts["chunks"]["description"]
