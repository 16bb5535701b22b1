"""The pool over hours of a virtual clock: each fault is charged to whom it belongs, and a plan is used to the full."""

import random
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from pydantic import TypeAdapter

from blocks.key_pool import Ask, Grant, Member, Pool, Wait, acquire, give_back, mend, probed, renew, report, settle
from blocks.plans import Plan
from blocks.speech import (
    AccountExhausted,
    BadKey,
    BadText,
    BadVoice,
    Crowded,
    DayQuotaUsed,
    Forbidden,
    NotSpeech,
    ProviderFailed,
    RateLimited,
    Refused,
    Unanswered,
    Unreachable,
)
from tests.simulation import START, Simulation, capped, members

PACIFIC = ZoneInfo("America/Los_Angeles")


@pytest.fixture
def rng() -> random.Random:
    return random.Random(1)


def ask(text: str = "a", **more) -> Ask:
    return Ask("run", more.pop("model", "m"), more.pop("voice", "v"), text, **more)


def granted(pool: Pool, people: list[Member], now: float, rng: random.Random, text: str = "a", **more) -> Grant:
    answer = acquire(pool, people, ask(text, **more), now, rng)
    assert isinstance(answer, Grant), answer
    return answer


def refused(pool: Pool, people: list[Member], now: float, rng: random.Random, **more) -> Wait:
    answer = acquire(pool, people, ask(**more), now, rng)
    assert isinstance(answer, Wait), answer
    assert answer.until > now
    return answer


def states(simulation: Simulation) -> dict[str, str]:
    return {row.account: row.state for row in report(simulation.pool, simulation.members, simulation.now)}


# Whose fault it is


def test_bad_texts_harm_no_key():
    """5 % bad texts over 20,000 requests: no key is disabled, cooled or even doubted."""

    def server(call, rng):
        poison = int(call.text.split()[1]) % 20 == 0
        return rng.uniform(0.5, 1.5), rng.choice([BadText, Refused])("no") if poison else None

    simulation = Simulation(members(*"abcde"), server, 15)
    simulation.run(20_000)
    assert simulation.given_up == 1000
    assert simulation.events == []
    assert set(states(simulation).values()) == {"healthy"}


def test_texts_that_fail_without_a_word_harm_no_key():
    """5 % of texts on which the provider breaks, wherever they go: no key is disabled or cooled."""

    def server(call, rng):
        poison = int(call.text.split()[1]) in range(0, 3900, 20)
        return rng.uniform(0.5, 1.5), ProviderFailed("500") if poison else None

    simulation = Simulation(members(*"abcde"), server, 15)
    simulation.run(4_000)
    assert not simulation.told("cooling")
    assert not simulation.told("disabled")
    assert not simulation.told("provider down")


def test_every_kind_of_failure_at_random():
    """10 % of calls fail at random, in every way: no key is cooled, the provider is not held, time is not lost."""

    def server(_, rng):
        kind = rng.choice([ProviderFailed, RateLimited, Unanswered, NotSpeech, Unreachable, NotSpeech, Unanswered])
        if rng.random() >= 0.1:
            return 1.0, None
        return 0.2, kind("failed", wait_s=1.0) if kind is RateLimited else kind("failed")

    simulation = Simulation(members("a", "b", in_flight=5), server, 10)
    wall = simulation.run(3_000)
    assert {event.kind for event in simulation.events} <= {"warning", "healthy"}
    assert wall <= 1.15 * 300


@pytest.mark.parametrize("kind", [BadText, Refused, NotSpeech, BadVoice])
def test_what_is_not_the_keys_fault_changes_nothing(kind, rng):
    """A thousand bad texts in a row leave a key as it was, apart from the count."""
    pool, people = Pool(), members("a")
    for n in range(1000):
        lease = granted(pool, people, START + n, rng, f"text {n}").lease
        assert settle(pool, lease, kind("no"), START + n + 0.5, rng) == []
    (row,) = report(pool, people, START + 1000)
    assert (row.state, row.detail, row.limit, row.errors) == ("healthy", "", 3, 1000)


def test_a_wrong_key_is_disabled_at_once_and_stays_so(rng):
    """One BadKey is enough; time does not mend it, a free look or a person does."""
    pool, (good, bad) = Pool(), members("a", "b")
    lease = granted(pool, [bad], START, rng).lease
    (event,) = settle(pool, lease, BadKey("revoked"), START + 1, rng)
    assert (event.kind, event.subject, event.reason) == ("disabled", bad.id, "revoked")
    assert refused(pool, [bad], START + 1e6, rng).hopeless
    assert granted(pool, [good, bad], START + 1e6, rng).member == good.id
    assert [row.state for row in report(pool, [good, bad], START + 1e6)] == ["healthy", "error"]
    assert probed(pool, bad, BadKey("revoked"), START + 1e6) == []
    assert [event.kind for event in probed(pool, bad, None, START + 1e6)] == ["mended"]
    granted(pool, [bad], START + 1e6, rng)
    assert [event.kind for event in probed(pool, good, BadKey("gone"), START + 1e6)] == ["disabled"]
    assert [event.kind for event in mend(pool, good, START + 1e6)] == ["mended"]
    granted(pool, [good], START + 1e6, rng)


def test_what_is_forbidden_is_so_for_this_voice_only(rng):
    """The key goes on with other voices, other keys with this voice."""
    pool, (first, second) = Pool(), members("a", "b")
    lease = granted(pool, [first], START, rng, voice="x").lease
    settle(pool, lease, Forbidden("not yours"), START + 1, rng)
    assert refused(pool, [first], START + 2, rng, voice="x").hopeless
    assert granted(pool, [first, second], START + 2, rng, voice="x").member == second.id
    assert granted(pool, [first], START + 2, rng, voice="y").member == first.id


def test_an_empty_account_comes_back_when_told_and_else_is_hopeless(rng):
    """Without credit a wait is hopeless, unless the provider said until when; another account goes on."""
    pool, people = Pool(), members("a", "b")
    now = START
    for error in (AccountExhausted("no credit"), AccountExhausted("no credit", wait_s=60)):
        settle(pool, granted(pool, people, now, rng).lease, error, now + 1, rng)
        now += 2
    wait = refused(pool, people, now, rng)
    assert not wait.hopeless
    assert wait.until == pytest.approx(START + 3 + 60)
    (out,) = [member for member in people if pool.accounts[member.account].hold.told is False]
    assert refused(pool, [out], now, rng).hopeless
    mend(pool, out, now)
    granted(pool, [out], now, rng)


def test_five_keys_of_which_two_are_good():
    """One revoked, one out of its day, one with 40 % failures: the good two lose nothing, and each state is right."""

    def server(call, rng):
        error = {
            "revoked": BadKey("revoked"),
            "spent": DayQuotaUsed("quota", wait_s=18),
            "shaky": ProviderFailed("500") if rng.random() < 0.4 else None,
        }.get(call.account)
        return 0.1 if isinstance(error, BadKey | DayQuotaUsed) else 1.0, error

    simulation = Simulation(members("good", "fine", "revoked", "spent", "shaky"), server, 15)
    alone = Simulation(members("good", "fine"), server, 6)
    alone_s = alone.run(1200)
    wall = simulation.run(1200)
    good = simulation.count(member="good") + simulation.count(member="fine")
    assert good / wall >= 0.95 * 1200 / alone_s
    assert simulation.count(BadKey) == 3  # those that were in flight at once
    assert simulation.count(DayQuotaUsed) == 3
    rows = {row.account: row for row in report(simulation.pool, simulation.members, simulation.now)}
    assert {name: row.state for name, row in rows.items()} == {
        "good": "healthy",
        "fine": "healthy",
        "revoked": "error",
        "spent": "warning",
        "shaky": "warning",
    }
    assert rows["revoked"].reason == "revoked"
    assert rows["spent"].detail == "cooling"
    assert "day quota" in rows["spent"].reason
    assert not simulation.told("provider down")


def test_a_dead_server_beside_a_living_one_fails_fast_and_is_cooled():
    """A server that refuses connections at once does not pass for the whole provider, nor take all the work."""

    def server(call, _):
        return (0.001, Unreachable("refused")) if call.account == "dead" else (2.0, None)

    simulation = Simulation(members("dead", "living"), server, 6, tries=10_000)
    wall = simulation.run(300)
    assert wall <= 1.05 * 300 * 2 / 3
    assert not simulation.told("provider down")
    assert simulation.told("cooling")
    assert simulation.count(Unreachable) <= 25


def test_a_key_that_is_mended_comes_back_step_by_step():
    """Cooling, then one probe at a time, then two, four, and all."""
    until = START + 100

    def server(call, _):
        return (0.5, ProviderFailed("500")) if call.account == "b" and call.at < until else (1.0, None)

    simulation = Simulation(members("a", "b", "c", in_flight=8), server, 24, tries=100)
    simulation.run(10_000, until=99)
    assert {event.subject for event in simulation.told("cooling")} == {"b#abc123"}
    during = simulation.count(ProviderFailed)
    assert during <= 30
    simulation.events.clear()
    simulation.run(10_000, until=120)
    assert [event.subject for event in simulation.told("healthy")] == ["b#abc123"]
    back = [call for call in simulation.calls if call.account == "b" and call.at >= until]
    assert [call.crowd for call in back[:3]] == [1, 1, 1]
    assert max(call.crowd for call in back) == 8


# The provider


@pytest.mark.parametrize("accounts", ["a", "abc"])
def test_a_provider_that_is_down_harms_no_key(accounts):
    """Two minutes without an answer: no key is cooled or doubted; few calls in vain; all is back within 30 seconds."""
    down, back = START + 60, START + 180

    def server(call, _):
        return (0.3, ProviderFailed("503")) if down <= call.at < back else (1.0, None)

    people = members(*accounts, in_flight=5)
    simulation = Simulation(people, server, 5 * len(people), tries=10_000)
    simulation.run(100_000, until=240)
    assert not simulation.told("cooling")
    assert [event.kind for event in simulation.events if event.kind != "warning"] == ["provider down", "healthy"]
    assert simulation.count(ProviderFailed) <= 5 * len(people) + 12
    assert min(at for at, _ in simulation.successes if at > back) <= back + 31
    assert set(states(simulation).values()) == {"healthy"}
    last = [at for at, _ in simulation.successes if at > simulation.now - 20]
    assert len(last) >= 0.9 * 20 * 5 * len(people)


def test_a_provider_that_tells_how_long_is_left_alone_so_long(rng):
    """After a busy answer with a wait nobody calls until then; the key is not charged."""
    pool, people = Pool(), members("a", "b")
    settle(pool, granted(pool, people, START, rng).lease, ProviderFailed("busy", wait_s=7), START + 1, rng)
    assert refused(pool, people, START + 1, rng).until == pytest.approx(START + 8)
    granted(pool, people, START + 8, rng)
    assert [row.state for row in report(pool, people, START + 8)] == ["healthy", "healthy"]


@pytest.mark.parametrize("wait_s", [-5.0, 0.0, float("inf"), float("nan"), 1e9])
def test_absurd_waits_are_not_believed(wait_s, rng):
    """Nothing a provider says holds anybody for longer than a day, or back into the past."""
    pool, people = Pool(), members("a")
    for error in (RateLimited("slow", wait_s=wait_s), ProviderFailed("busy", wait_s=wait_s)):
        settle(pool, granted(pool, people, START, rng).lease, error, START + 1, rng)
        answer = acquire(pool, people, ask(), START + 1, rng)
        assert isinstance(answer, Grant) or START + 1 < answer.until <= START + 1 + 86_400
        pool = Pool()


# Limits


def test_a_cap_lower_than_believed_is_learned():
    """True cap 3, believed 5, 300 calls of a second: at most 2 % refusals, and at most 12 % more time."""
    simulation = Simulation(members("a", in_flight=5), capped(3), 5)
    wall = simulation.run(300)
    assert simulation.count(Crowded) <= 6
    assert wall <= 1.12 * 100
    (row,) = report(simulation.pool, simulation.members, simulation.now)
    assert (row.limit, row.learned, row.state) == (3, True, "healthy")


def test_a_limit_that_was_cut_grows_back():
    """A cap that was low for a minute is found again, in ever greater steps."""
    low = START + 60

    def server(call, rng):
        return capped(2 if call.at < low else 15)(call, rng)

    simulation = Simulation(members("a", in_flight=15), server, 15)
    simulation.run(10_000, until=900)
    (row,) = report(simulation.pool, simulation.members, simulation.now)
    assert (row.limit, row.learned) == (15, False)
    assert simulation.count(Crowded) <= 20


def test_an_account_that_somebody_else_uses_is_not_hammered():
    """Where even one call is too many, we ask again more and more seldom."""
    simulation = Simulation(members("a"), capped(0), 3, tries=10_000)
    simulation.run(10, until=120)
    assert simulation.count(Crowded) <= 20


def test_a_provider_tells_its_cap(rng):
    """What it allows holds at once, and never raises the plan."""
    pool, people = Pool(), members("a", in_flight=4)
    settle(pool, granted(pool, people, START, rng).lease, None, START + 1, rng, allowed=2)
    assert report(pool, people, START + 1)[0].limit == 2
    settle(pool, granted(pool, people, START + 1, rng).lease, None, START + 2, rng, allowed=9)
    assert report(pool, people, START + 1)[0].limit == 4


def test_two_keys_of_one_account_share_its_limits(rng):
    """A second key of an account adds no call in flight."""
    plan = Plan("cartesia", "pro", 3)
    pool, people = Pool(), [Member("one#1", "a", plan), Member("two#2", "a", plan)]
    for _ in range(3):
        granted(pool, people, START, rng)
    assert "every account has 3 calls in flight" in refused(pool, people, START, rng).reason


def test_larger_accounts_take_more():
    """15 slots take five times what 3 take."""
    small, large = members("small"), members("large", in_flight=15)
    simulation = Simulation([*small, *large], lambda *_: (1.0, None), 12)
    simulation.run(2400)
    assert simulation.count(member="large") / simulation.count(member="small") == pytest.approx(5, rel=0.15)


def test_calls_in_a_minute_flow_evenly():
    """10 a minute: never more than 11 in any minute, and none is lost."""
    simulation = Simulation(members("a", per_minute=10), lambda *_: (1.0, None), 3)
    wall = simulation.run(50)
    at = [call.at for call in simulation.calls]
    assert max(sum(1 for other in at if 0 <= other - start < 60) for start in at) <= 11
    assert wall <= 300


def test_a_rate_refusal_waits_as_told(rng):
    """The account rests until then, and returns whole: a refusal of the rate is no failure of the key."""
    pool, people = Pool(), members("a")
    settle(pool, granted(pool, people, START, rng).lease, RateLimited("slow down", wait_s=20), START + 1, rng)
    (row,) = report(pool, people, START + 2)
    assert (row.detail, row.reason, row.until) == ("cooling", "slow down", START + 21)
    assert refused(pool, people, START + 20, rng).until == START + 21
    assert [granted(pool, people, START + 21, rng).probe for _ in range(3)] == [False] * 3


def test_rate_refusals_without_a_number_lower_the_calls_at_one_time():
    """A provider that says 429 for anything is found out: calls in vain stay few."""

    def server(call, _):
        return (0.05, RateLimited("429")) if call.crowd > 2 else (1.0, None)

    simulation = Simulation(members("a", in_flight=8), server, 8)
    simulation.run(2_000, until=900)
    assert simulation.count(RateLimited) <= 0.05 * simulation.count()
    assert simulation.count() >= 0.6 * 900 * 2


@pytest.mark.parametrize("month", [3, 11])
def test_a_day_quota_comes_back_at_their_midnight(month):
    """Ten calls a day, across the change of the clocks in Los Angeles: ten before midnight there, ten after."""
    sunday = {3: 8, 11: 1}[month]
    begin = datetime(2026, month, sunday, 1, 0, tzinfo=PACIFIC).timestamp()
    midnight = datetime(2026, month, sunday + 1, 0, 0, tzinfo=PACIFIC).timestamp()
    assert midnight - begin == {3: 22, 11: 24}[month] * 3600
    simulation = Simulation(
        members("a", per_day=10, day_ends="America/Los_Angeles"), lambda *_: (1.0, None), 3, now=begin
    )
    simulation.run(15)
    at = [call.at for call in simulation.calls]
    assert sum(1 for moment in at if moment < midnight) == 10
    assert midnight < at[10] <= midnight + 121
    assert at[14] < midnight + 135


def test_a_day_quota_that_the_provider_tells_outlasts_its_short_wait(rng):
    """The 18 seconds it tells are not believed; a refusal just after midnight is tried again within the hour."""
    now = datetime(2026, 7, 1, 15, 0, tzinfo=PACIFIC).timestamp()
    midnight = datetime(2026, 7, 2, 0, 0, tzinfo=PACIFIC).timestamp()
    pool, people = Pool(), members("a", day_ends="America/Los_Angeles")
    settle(pool, granted(pool, people, now, rng).lease, DayQuotaUsed("daily", wait_s=18), now + 1, rng)
    wait = refused(pool, people, now + 1000, rng)
    assert midnight <= wait.until <= midnight + 120
    assert not wait.hopeless
    probe = granted(pool, people, wait.until, rng)
    assert probe.probe
    assert not isinstance(acquire(pool, people, ask(), wait.until, rng), Grant)
    settle(pool, probe.lease, DayQuotaUsed("daily"), wait.until + 1, rng)
    assert refused(pool, people, wait.until + 1, rng).until <= wait.until + 3600


def test_each_model_has_its_own_day(rng):
    """Where a plan counts by model, another model goes on."""
    pool, people = Pool(), members("a", per_day=1, per_model=True)
    granted(pool, people, START, rng, model="flash")
    assert "day quota" in refused(pool, people, START, rng, model="flash").reason
    granted(pool, people, START, rng, model="pro")
    assert report(pool, people, START)[0].used_today == 2


def test_a_call_that_was_not_made_costs_nothing(rng):
    """Given back, refused for its rate or its key: the day's budget is as before."""
    pool, people = Pool(), members("a", per_day=1, per_minute=1)
    give_back(pool, granted(pool, people, START, rng).lease, START)
    settle(pool, granted(pool, people, START, rng).lease, RateLimited("no", wait_s=5), START + 1, rng)
    settle(pool, granted(pool, people, START + 6, rng).lease, Unreachable("no"), START + 7, rng)
    lease = granted(pool, people, START + 7, rng).lease
    assert "day quota" in refused(pool, people, START + 7, rng).reason
    give_back(pool, lease, START + 8)
    give_back(pool, lease, START + 8)
    assert report(pool, people, START + 8)[0].used_today == 0


def test_a_place_in_the_minute_is_given_back_once(rng):
    """Only the last place taken can be had again: two calls never stand closer than the plan says."""
    pool, people = Pool(), members("a", per_minute=10)
    first = granted(pool, people, START, rng).lease
    granted(pool, people, START + 6, rng)
    give_back(pool, first, START + 6)
    assert refused(pool, people, START + 7, rng).until == pytest.approx(START + 11)


def test_yesterdays_calls_are_not_given_back_today(rng):
    """A call that spans midnight and was not counted leaves today's budget alone."""
    pool, people = Pool(), members("a", per_day=1, day_ends="America/Los_Angeles")
    midnight = datetime(2026, 7, 2, 0, 0, tzinfo=PACIFIC).timestamp()
    old = granted(pool, people, midnight - 5, rng).lease
    now = refused(pool, people, midnight - 4, rng).until
    settle(pool, granted(pool, people, now, rng).lease, None, now + 1, rng)
    give_back(pool, old, now + 1)
    assert "day quota" in refused(pool, people, now + 2, rng).reason


# Leases, clocks, people


def test_a_killed_run_frees_what_it_held(rng):
    """Leases that nobody renews are free after 20 seconds, the probe's slot too; those renewed are not."""
    pool, people = Pool(), members("a", in_flight=2)
    held = granted(pool, people, START, rng).lease
    granted(pool, people, START, rng)
    for at in range(5, 21, 5):
        renew(pool, "run", [held], START + at)
    refused(pool, people, START + 19, rng)
    granted(pool, people, START + 20, rng)
    refused(pool, people, START + 20, rng)


def test_a_lease_ends_by_its_own_deadline(rng):
    """However often it is renewed."""
    pool, people = Pool(), members("a", in_flight=1)
    held = granted(pool, people, START, rng, deadline_s=60).lease
    for at in range(5, 100, 5):
        renew(pool, "run", [held], START + at)
    granted(pool, people, START + 61, rng)


def test_a_run_that_slept_takes_its_leases_up_again(rng):
    """After an hour's sleep the call is still in flight, and still counted; what it brings is still heard."""
    pool, people = Pool(), members("a", in_flight=1)
    held = granted(pool, people, START, rng).lease
    renew(pool, "run", [held], START + 3600)
    refused(pool, people, START + 3601, rng)
    renew(pool, "other", [held], START + 3602)
    settle(pool, held, BadKey("revoked"), START + 3603, rng)
    assert report(pool, people, START + 3603)[0].state == "error"
    assert settle(pool, held, None, START + 3604, rng) == []


def test_a_clock_that_jumps_back_keeps_durations(rng):
    """What had ten seconds to go still has ten; a midnight stays where it is."""
    pool, (slow, spent) = Pool(), members("slow", "spent")
    settle(pool, granted(pool, [slow], START, rng).lease, RateLimited("slow", wait_s=11), START + 1, rng)
    settle(pool, granted(pool, [spent], START, rng).lease, DayQuotaUsed("day"), START + 1, rng)
    before = refused(pool, [spent], START + 2, rng).until
    assert refused(pool, [slow], START + 2 - 600, rng).until == pytest.approx(START + 2 - 600 + 10)
    assert refused(pool, [spent], START + 2 - 600, rng).until == before
    granted(pool, [slow], START + 12 - 600, rng)


def test_a_day_that_ended_only_by_a_wrong_clock_is_no_loss(rng):
    """A clock three days ahead, put right: nobody waits three days."""
    pool, people = Pool(), members("a", per_day=5)
    ahead = START + 3 * 86_400
    settle(pool, granted(pool, people, ahead, rng).lease, DayQuotaUsed("day"), ahead + 1, rng)
    assert refused(pool, people, START, rng).until <= START + 86_400 + 120


def test_a_person_switches_a_key_off(rng):
    """It beats everything, and its return takes one word."""
    pool, (first, second) = Pool(), members("a", "b")
    off = Member(first.id, first.account, first.plan, enabled=False)
    for n in range(3):
        assert granted(pool, [off, second], START + n, rng).member == second.id
    assert refused(pool, [off], START, rng).hopeless
    assert "switched off" in report(pool, [off], START)[0].reason
    granted(pool, [first], START, rng)


def test_only_the_plans_asked_for_serve(rng):
    """A tag chooses the plan."""
    pool, people = Pool(), [*members("a"), Member("b#1", "b", Plan("cartesia", "free", 2))]
    assert granted(pool, people, START, rng, tags=frozenset({"cartesia:free"})).member == "b#1"
    assert refused(pool, people, START, rng, tags=frozenset({"cartesia:scale"})).hopeless


def test_accounts_that_are_one_are_told(rng):
    """Always refused together: said once, with a hint; accounts refused apart are not accused."""
    pool, people = Pool(), members("a", "b", "c")
    told = []
    for n in range(12):
        for shift, member in ((0, people[0]), (1, people[1]), (20, people[2])):
            at = START + 100 * n + shift
            told += settle(pool, granted(pool, [member], at, rng).lease, RateLimited("429", wait_s=5), at + 1, rng)
    assert [(event.kind, event.subject) for event in told if event.kind == "same account?"] == [
        ("same account?", "a and b")
    ]
    assert [bool(row.hint) for row in report(pool, people, START + 1300)] == [True, True, False]


def test_the_document_survives_its_store():
    """All of it is plain JSON, and goes on as before."""

    def server(_, rng):
        kind = rng.choice([ProviderFailed, RateLimited, DayQuotaUsed, Forbidden, BadKey, Crowded, None, None, None])
        return 0.5, kind("x") if kind else None

    simulation = Simulation(members(*"abcdefgh", per_minute=60, per_day=500), server, 20)
    simulation.run(300, until=100)
    simulation.pool.leases.clear()
    acquire(simulation.pool, members("z"), ask(), simulation.now, simulation.rng)
    document = TypeAdapter(Pool)
    assert document.validate_json(document.dump_json(simulation.pool)) == simulation.pool
    assert document.validate_json(b"{}") == Pool()


def test_a_hundred_keys_all_serve():
    """Each of a hundred accounts has its share, and the document stays small."""
    simulation = Simulation(members(*(f"account {n}" for n in range(100)), in_flight=1), lambda *_: (1.0, None), 100)
    assert simulation.run(500) == pytest.approx(5)
    assert set(simulation.endings.values()) == {5}
    assert len(TypeAdapter(Pool).dump_json(simulation.pool)) < 200_000
