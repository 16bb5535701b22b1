"""What a command comes to, told to people and to programs; and its exit code."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.recording import Recording
    from tasks.word_list import WordList

DONE, FAILED, WRONG, GAPS, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes. After 1 and 130 the same command goes on where it stopped; 3 is only met with --allow-gaps."""
LISTED = 10
"""Failures that are told one by one; a file lists them all."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one source came to, for people and for programs."""

    lines: tuple[str, ...]
    facts: dict[str, Any]
    error: str = ""
    gaps: int = 0
    """Chunks that are silence in the recording."""


def tell(answers: Iterable["Answer"], *, as_json: bool) -> int:
    """Tell each answer as it comes; for programs all of them as one JSON object, the last line of stdout."""
    code, facts = DONE, []
    for answer in answers:
        facts.append(answer.facts)
        if answer.gaps and code == DONE:
            code = GAPS
        if answer.error:
            code = FAILED
            complain(answer.error)
        if not as_json:
            print("\n".join(answer.lines), flush=True)
    if as_json:
        print(json.dumps(facts[0] if len(facts) == 1 else {"results": facts}, ensure_ascii=False))
    return code


def complain(error: object) -> None:
    print(f"speech: {error}", file=sys.stderr)


def answer_of(recording: "Recording", error: str = "") -> Answer:
    """A run that made its recording, or that told by this error why it made none."""
    lines = (f"report    {recording.report}",) if error else tuple(_describe(recording))
    return Answer(lines, recording.as_json(), error, len(recording.failures))


def _describe(recording: "Recording") -> Iterator[str]:
    loudness = "" if recording.loudness_lufs is None else f", {recording.loudness_lufs:.1f} LUFS"
    yield (
        f"{recording.audio}: {timedelta(seconds=round(recording.duration_s))}{loudness}, {recording.chunks} chunks "
        f"({recording.synthesised} spoken, {recording.reused} from the shelf)"
    )
    yield f"manifest  {recording.manifest_json} and .csv"
    yield f"subtitles {recording.subtitles}"
    if recording.clips:
        yield f"clips     {recording.clips}"
    yield f"report    {recording.report}"
    if recording.cues:
        from tasks.cue_totals import describe

        yield f"cues      {', '.join(describe(**recording.cues))}"
    if recording.failures:
        first = recording.failures[0]
        yield (
            f"gaps      {len(recording.failures)} chunks are silence: the first at line {first.line}, {first.reason}; "
            "the same command tries them again"
        )
    if recording.flagged:
        yield f"suspect   {recording.flagged} clips stand out from their voice: the report names them, listen to them"
    if told := _cost(recording):
        yield f"spent     {told}"


def answer_of_words(words: "WordList", error: str = "") -> Answer:
    """A run that made its clips, or that told by this error which it could not make."""
    return Answer(tuple(_describe_words(words)), words.as_json(), error, len(words.failures))


def _describe_words(words: "WordList") -> Iterator[str]:
    yield (
        f"{words.folder}: {words.files:,} clips of {words.cells:,} cells, {timedelta(seconds=round(words.duration_s))} "
        f"({words.synthesised:,} spoken, {words.reused:,} from the shelf, {words.standing:,} stood there)"
    )
    yield f"manifest  {words.manifest_json} and .csv"
    if words.table:
        yield f"table     {words.table}, with the addresses of the clips"
    for failure in words.failures[:LISTED]:
        yield f"failed    line {failure.line}, {failure.field} ({failure.text[:40]!r}): {failure.reason}"
    if words.failures:
        yield f"failures  {len(words.failures):,}, all of them in {words.failures_csv}"
    if words.flagged:
        yield f"suspect   {words.flagged:,} clips stand out from their voice: the manifest flags them, listen to them"
    if told := _cost(words):
        yield f"spent     {told}"


def _cost(recording: "Recording | WordList") -> str:
    """In words; empty for what nobody charges for."""
    if recording.cost_usd is None:
        return "an amount that is not known here: no price is listed for this model"
    parts = [f"{recording.cost_usd:.4f} USD at list prices"] if recording.cost_usd else []
    if recording.wasted_usd:
        parts.append(f"{recording.wasted_usd:.4f} of it for answers that were no use")
    if recording.unknown_usd:
        parts.append(f"at most {recording.unknown_usd:.4f} more for calls that nobody answered")
    return ", ".join(parts)
