"""What the page promises a person, and, where Chromium is installed, that a browser keeps it."""

import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tasks.clips import Failure
from tasks.document import Omission
from tasks.ledger import Ledger
from tasks.manifest import Run, write_manifest
from tasks.report import BARS, bars, clock
from tests.recordings import GAP, RATE, SPEECH, run

FAILURE = Failure("EngineFailed", "the engine stopped with signal 11", attempts=3)
HOSTILE = [
    "<script>document.title='hacked'</script>",
    "<img src=x onerror=document.title='hacked'>",
    "</script></style>-->",
    "\"' onclick=\"document.title='hacked'\"",
    '{{ 7 * 7 }} ${x} a < b & "c" &amp; \u2028 \u2029 \u202e txet',
]
STEM = "a \"b' #1 %41? 聲 é;:.x"


class Page(HTMLParser):
    """What a browser would load and show."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.source = page.read_text("utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str) -> list[str | None]:
        return [attributes[attribute] for _, attributes in self.tags if attribute in attributes]

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def test_the_page_is_self_contained(tmp_path: Path) -> None:
    """Nothing is loaded but the recording, by its relative path: no script, style, font or image from elsewhere."""
    page = Page(write_manifest(**run(tmp_path, ["# One", "Two."])).report)
    assert page.values("src") == ["book.wav"]
    assert {"data:,", "#c0", "#bars"} == set(page.values("href"))
    assert not re.search(r"//\w|@import|url\(|fetch\(|XMLHttpRequest|import\(", page.source)
    assert (page.count("script"), page.count("style"), page.count("link")) == (1, 1, 1)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_markup(tmp_path: Path, text: str) -> None:
    """Whatever stands in a text, a title, a flag, a reason, a name or an omission is shown as it is."""
    calm = run(tmp_path, ["# Heading", "One.", "Two."], failures={1: FAILURE}, flags={2: ("slow",)}, recorded=False)
    plain = Page(write_manifest(**calm).report)
    wild = run(
        tmp_path,
        [f"# {text}", text, text],
        title=text,
        failures={1: Failure(text, text, attempts=3)},
        flags={2: (text,)},
        omissions=[Omission(9, text, "omitted", text)],
        recorded=False,
    ) | {"run": Run(text, {"loudness": -16.0}, calls=3, retries=2, ledger=Ledger(tmp_path / "ledger.jsonl"))}
    page = Page(write_manifest(**wild).report)
    assert (plain.count("script"), plain.count("style"), 0) == (
        page.count("script"),
        page.count("style"),
        page.count("img"),
    )
    assert not page.values("onclick") + page.values("onerror")
    assert page.text.count(text) >= 10


def test_the_recording_is_linked_by_any_name(tmp_path: Path) -> None:
    """A file name with quotes, hashes, per cents, colons or any script is a relative URL of that very file."""
    page = Page(write_manifest(**run(tmp_path, ["One."], stem=STEM)).report)
    (source,) = page.values("src")
    assert source
    assert f"{STEM}.wav" == unquote(source)
    assert re.fullmatch(r"[\w.%~-]+", source, re.ASCII)


def test_a_failed_run_is_shown(tmp_path: Path) -> None:
    """Without a recording the page says so, and shows the failures first, with their reasons, and every chunk."""
    made = run(tmp_path, ["# One", "Two.", "Three."], failures={1: FAILURE}, flags={2: ("slow",)}, recorded=False)
    page = Page(write_manifest(**made).report)
    assert page.count("audio") == 0
    assert "This run made no recording" in page.text
    assert "1 of 3 chunks has no speech" in page.text
    places = [page.text.index(part) for part in ("Without speech", FAILURE.reason, "Worth a listen", "Failed 1")]
    assert sorted(places) == places
    assert [name for name in page.values("id") if name and re.fullmatch(r"c\d+", name)] == ["c0", "c1", "c2"]


def test_a_text_without_sections_or_speech(tmp_path: Path) -> None:
    """A plain text has no outline, and a document of which nothing is spoken still has its page."""
    assert "Sections" not in Page(write_manifest(**run(tmp_path, ["One."])).report).text
    assert (
        "front matter"
        in Page(
            write_manifest(
                **run(tmp_path, [], omissions=[Omission(1, "---", "omitted", "front matter")], recorded=False)
            ).report
        ).text
    )


@pytest.mark.parametrize(("peaks", "count"), [((), 0), ((0.0, 0.0), 2), ((0.5,) * 1200, BARS), ((1.0,) * 1201, BARS)])
def test_the_waveform_has_bars(peaks: tuple[float, ...], count: int) -> None:
    """At most BARS of them, all inside the box, and a hair's breadth for silence."""
    paths = bars(peaks)
    assert count == len(paths)
    assert all(1 <= float(height) <= 96 for height in re.findall(r"h3v([\d.]+)", "".join(paths)))


def test_the_clock() -> None:
    """Hours show only when there are any."""
    assert [clock(at) for at in (0.0, 59.99, 754.2, 3723)] == ["0:00", "0:59", "12:34", "1:02:03"]


@pytest.fixture
def visit(browser: webdriver.Chrome, tmp_path: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Open the report of a run; at the end nothing may have been complained of or asked from a network."""

    def go(texts: list[str], **options: Any) -> dict[str, Any]:
        made = run(tmp_path, texts, **options)
        browser.get_log("performance")
        browser.get(write_manifest(**made).report.as_uri())
        return made

    yield go
    assert not browser.get_log("browser")
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    asked = [request["request"]["url"] for request in requests if request["documentURL"].startswith("file:")]
    assert asked
    assert all(url.startswith(("file:", "data:")) for url in asked)


def shown(browser: webdriver.Chrome) -> list[str]:
    return [
        row.find_element(By.TAG_NAME, "p").text
        for row in browser.find_elements(By.CSS_SELECTOR, "#chunks li:not([hidden])")
    ]


def current(browser: webdriver.Chrome) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, "#chunks [aria-current]")


def test_a_click_plays_the_chunk(browser: webdriver.Chrome, visit: Callable[..., Any]) -> None:
    """The third chunk's button seeks the recording to that chunk's start, plays, and marks it; again, and it pauses."""
    visit(["One.", "Two.", "Three.", "Four."], stem=STEM)
    browser.execute_script("audio.addEventListener('seeking', () => { window.sought = audio.currentTime })")
    browser.execute_script("audio.playbackRate = 1 / 16")  # else a slow machine may click when the next chunk plays
    button = browser.find_element(By.CSS_SELECTOR, "#c2 button")
    button.click()
    WebDriverWait(browser, 10).until(lambda driver: driver.execute_script("return !audio.paused && !audio.seeking"))
    assert pytest.approx((GAP + 2 * (SPEECH + GAP)) / RATE, abs=1e-5) == browser.execute_script("return window.sought")
    assert [row.get_attribute("id") for row in current(browser)] == ["c2"]
    button.click()
    assert browser.execute_script("return audio.paused && !audio.ended")


def test_keys_play_and_step(browser: webdriver.Chrome, visit: Callable[..., Any]) -> None:
    """Space plays and pauses, J and K go from chunk to chunk, the arrows five seconds, and in a field they type."""
    visit(["# One", *["More words."] * 20])
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys("jjk")
    assert [row.get_attribute("id") for row in current(browser)] == ["c0"]
    body.send_keys(Keys.ARROW_RIGHT)
    assert pytest.approx(5.1, abs=0.01) == browser.execute_script("return audio.currentTime")
    assert browser.find_element(By.CSS_SELECTOR, "#outline li").get_attribute("aria-current") == "true"
    body.send_keys(" ")
    WebDriverWait(browser, 10).until(lambda driver: driver.execute_script("return !audio.paused"))
    body.send_keys(" ")
    assert browser.execute_script("return audio.paused")
    body.send_keys("/")
    browser.switch_to.active_element.send_keys("j ")
    assert browser.find_element(By.ID, "query").get_attribute("value") == "j "


def test_a_click_on_the_waveform_seeks(browser: webdriver.Chrome, visit: Callable[..., Any]) -> None:
    """The middle of the waveform is the middle of the recording."""
    made = visit(["One.", "Two.", "Three.", "Four."])
    wave = browser.find_element(By.ID, "wave")
    wave.click()
    middle = made["sound"].duration_s / 2
    assert pytest.approx(middle, rel=0.02) == browser.execute_script("return audio.currentTime")


def test_the_filter_shows_only_failures(browser: webdriver.Chrome, visit: Callable[..., Any]) -> None:
    """One click leaves the failed chunks, a word leaves the chunks that hold it, in any case; both together hold."""
    texts = ["One Ärger.", "Two.", "Three ärger.", "Four."]
    visit(texts, failures={2: FAILURE, 3: FAILURE}, flags={1: ("slow",)})
    browser.find_element(By.CSS_SELECTOR, "[value=failed] + span").click()
    assert shown(browser) == ["Three ärger.", "Four."]
    browser.find_element(By.ID, "query").send_keys("ÄRGER")
    assert shown(browser) == ["Three ärger."]
    assert browser.find_element(By.ID, "found").text == "1 of 4"
    browser.find_element(By.CSS_SELECTOR, "[value=''] + span").click()
    assert shown(browser) == ["One Ärger.", "Three ärger."]


def test_no_text_runs(browser: webdriver.Chrome, visit: Callable[..., Any]) -> None:
    """Hostile texts are read, not run."""
    visit(HOSTILE, title="calm", omissions=[Omission(1, text, "omitted", text) for text in HOSTILE])
    assert browser.title == "calm \N{EN DASH} recording report"
    assert HOSTILE[:4] == shown(browser)[:4]


def test_a_recording_that_is_gone(browser: webdriver.Chrome, tmp_path: Path) -> None:
    """When the recording was moved away, the page says which file it misses."""
    made = run(tmp_path, ["One."])
    report = write_manifest(**made).report
    made["sound"].path.unlink()
    browser.get(report.as_uri())
    notice = browser.find_element(By.ID, "unplayable")
    WebDriverWait(browser, 10).until(lambda _: notice.is_displayed())
    assert notice.text.startswith("book.wav cannot be played")
    browser.get_log("browser")  # it names the missing file, and rightly so
