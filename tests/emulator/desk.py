"""One call, from the key to the bill."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

from tests.emulator import faults
from tests.emulator.accounts import Account, Entry, Holder
from tests.emulator.script import Rule
from tests.emulator.sound import encoded
from tests.emulator.state import State
from tests.emulator.vendor import NONSENSE, Ask, Call, Refuse, Vendor
from tests.emulator.wire import Answer, in_json


@contextlib.asynccontextmanager
async def paid(state: State, vendor: Vendor, call: Call) -> AsyncIterator[Answer]:
    """The answer; the call is in flight until the block ends, and in the ledger before its answer leaves."""
    entry = Entry(call.id, vendor.name)
    with contextlib.ExitStack() as held:
        try:
            answer = await _answer(state, vendor, call, entry, held)
        except Refuse as refusal:
            answer = _refused(vendor, call, entry, refusal)
        entry.status = answer.status
        state.ledger.append(entry)
        yield answer


def free(state: State, vendor: Vendor, call: Call) -> Answer:
    """A listing: it counts for nothing, but asks for a key where the provider does."""
    state.listings += 1
    try:
        holder = _holder(state, vendor, call)
    except Refuse as refusal:
        return vendor.refuse(call, vendor.rows[refusal.row])
    rule = state.scripts[vendor.name].rule("list", "", holder)
    if rule and rule.fault in vendor.rows:
        return _row(vendor, call, rule)
    listed = vendor.listing(call.request)
    answer = in_json({"detail": "Not Found"}, 404) if listed is None else in_json(listed)
    return _played(answer, rule)


async def _answer(state: State, vendor: Vendor, call: Call, entry: Entry, held: contextlib.ExitStack) -> Answer:
    holder = _holder(state, vendor, call)
    entry.account, entry.key = holder.account, holder.alias
    account = state.accounts[vendor.name, holder.account]
    account.calls += 1
    ask = _read(vendor, call)
    entry.text = ask.text
    call = _admitted(state, vendor, call, ask, account)
    held.callback(account.leave, ask.pool)
    rule = state.scripts[vendor.name].rule("speech", ask.text, holder)
    fault = rule.fault if rule else ask.shape
    entry.outcome = fault or "ok"
    if rule and fault in vendor.rows:
        await asyncio.sleep(state.latency_s)
        answer, units, prompt = _row(vendor, call, rule), 0, 0
    else:
        answer, units = await _spoken(state, vendor, call, ask, fault)
        prompt = ask.prompt
    costs_nothing = fault in vendor.rows or fault in faults.UNBILLED or fault in vendor.unbilled
    entry.billed = not costs_nothing if rule is None or rule.billed is None else rule.billed
    entry.units, entry.prompt = (units, prompt) if entry.billed else (0, 0)
    account.billed += entry.billed
    account.units += entry.units
    account.prompt += entry.prompt
    return _played(answer, rule)


def _holder(state: State, vendor: Vendor, call: Call) -> Holder:
    key = vendor.key(call.request)
    if holder := state.holder(vendor, key):
        return holder
    raise Refuse(vendor.limits["key" if key else "no_key"])


def _read(vendor: Vendor, call: Call) -> Ask:
    try:
        return vendor.read(call)
    except NONSENSE as error:
        raise Refuse(vendor.limits["nonsense"], f"Cannot read the body: {error!r}") from error


def _admitted(state: State, vendor: Vendor, call: Call, ask: Ask, account: Account) -> Call:
    plan = state.plan(vendor.name)
    limit, seconds = account.over(plan, ask.pool, ask.share, state.now())
    if limit:
        account.refused += 1
        raise Refuse(vendor.limits[limit], seconds=seconds)
    account.enter(ask.pool, state.now())
    most = None if plan.in_flight is None else plan.in_flight * ask.share
    return replace(call, in_flight=account.in_flight[ask.pool], most=most)


async def _spoken(state: State, vendor: Vendor, call: Call, ask: Ask, fault: str) -> tuple[Answer, int]:
    timbre = "m7" if fault == faults.FALLBACK else ask.timbre
    speaking = state.speaker.speak(ask.text, ask.language, timbre, ask.speed, ask.format.rate)
    whole, _ = await asyncio.gather(speaking, asyncio.sleep(state.latency_s))
    sound = faults.SOUND[fault](whole) if fault in faults.SOUND else whole
    if ask.format.container in {"wav", "raw"}:
        data = encoded(sound, ask.format)
    else:  # Tenths of a second, in which other calls could neither arrive nor end.
        data = await asyncio.to_thread(encoded, sound, ask.format)
    if fault in faults.BYTES:
        data = faults.BYTES[fault](sound, data)
    shape = vendor.shapes.get(fault, vendor.answer)
    units = vendor.units(ask, whole)
    return shape(replace(call, units=units), ask, sound, data), units


def _row(vendor: Vendor, call: Call, rule: Rule) -> Answer:
    answer = vendor.refuse(replace(call, seconds=rule.seconds, envelope=rule.envelope), vendor.rows[rule.fault])
    return replace(answer, headers={**answer.headers, **faults.retry_after(rule.retry_after, rule.seconds)})


def _refused(vendor: Vendor, call: Call, entry: Entry, refusal: Refuse) -> Answer:
    row = vendor.rows[refusal.row]
    entry.outcome = refusal.row
    return vendor.refuse(replace(call, seconds=refusal.seconds), replace(row, message=refusal.message or row.message))


def _played(answer: Answer, rule: Rule | None) -> Answer:
    if rule and (fault := faults.ANSWER.get(rule.fault)):
        return fault(answer, rule.at, rule.seconds)
    return answer
