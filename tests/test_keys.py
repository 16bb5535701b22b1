"""What a list of keys may look like, and what a key is to the pool: never more than an alias and a fingerprint."""

import pytest

from blocks.keys import (
    credential,
    fingerprint,
    from_environment,
    looks_like,
    plan_of,
    read_keys,
    servers_of,
)
from blocks.plans import PLANS
from blocks.speech import BadInput

SECRET = "a-secret-of-cartesia"


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", ()),
        (" \n,\n", ()),
        ("one", (("", "one"),)),
        ("one,two\nthree", (("", "one"), ("", "two"), ("", "three"))),
        ("one\r\ntwo\r\n", (("", "one"), ("", "two"))),
        ("work:one, home : two", (("work", "one"), ("home", "two"))),
        ("The firm: branch:one", (("The firm: branch", "one"),)),
        ("one\none", (("", "one"),)),
    ],
)
def test_a_list(text: str, pairs: tuple[tuple[str, str], ...]) -> None:
    """Lines and commas part keys; what stands before the last colon is the account; nothing is no key."""
    assert read_keys(text, "here") == pairs


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("good\nhas space\n", "place 2"),
        ("work:", "place 1"),
        ("clé", "place 1"),
        ("a:k1\nb:k1", "two accounts, at place 2"),
        ("k1\nk2\nk1", "twice, at place 3"),
        ("AIzaSecret:work", "an account should be, at place 1"),
    ],
)
def test_a_wrong_list(text: str, told: str) -> None:
    """The message names the place in the list, and repeats nothing of what may be a key."""
    with pytest.raises(BadInput, match=told) as caught:
        read_keys(text, "here", once=True)
    assert not any(word in str(caught.value).split() for word in ("good", "k1", "AIzaSecret", "clé"))


@pytest.mark.parametrize(
    ("key", "provider"),
    [
        ("sk_car_abc", "cartesia"),
        ("sk_abc", "elevenlabs"),
        ("sk-proj-abc", "openai"),
        ("AIzaSyAbc", "gemini"),
        ("test-key-1", ""),
        ("", ""),
    ],
)
def test_whose_key_it_looks_like(key: str, provider: str) -> None:
    """By how the vendor's keys begin; nobody is named for what begins otherwise."""
    assert looks_like(key) == provider


def test_plans() -> None:
    """The smallest unless one is named; what was agreed beats the table, limit by limit."""
    assert plan_of("cartesia") is not None
    assert plan_of("cartesia").name == PLANS["cartesia"][0].name
    agreed = plan_of("gemini", "tier1", in_flight=9, per_day=5000)
    listed = plan_of("gemini", "tier1")
    assert (agreed.in_flight, agreed.per_minute, agreed.per_day) == (9, listed.per_minute, 5000)
    assert agreed.tag == "gemini:tier1"


@pytest.mark.parametrize("limit", ["in_flight", "per_minute", "per_day"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_of_nothing(limit: str, value: int) -> None:
    """A plan that lets no call through is a mistake, and not a plan without limits."""
    with pytest.raises(BadInput, match="1 at least"):
        plan_of("cartesia", "pro", **{limit: value})


def test_an_unknown_plan() -> None:
    """The message names those that there are."""
    with pytest.raises(BadInput, match="free, pro, startup, scale"):
        plan_of("cartesia", "gold")


def test_what_a_key_is_called() -> None:
    """The same key has the same name everywhere, and another key another; no name tells the key."""
    plan = plan_of("cartesia")
    known = credential("cartesia", SECRET, "work", plan)
    assert known == credential("cartesia", SECRET, "work", plan)
    assert known.member.id == f"work#{fingerprint('cartesia', SECRET)}"
    assert fingerprint("gemini", SECRET) != fingerprint("cartesia", SECRET) != fingerprint("cartesia", SECRET + "2")
    assert SECRET not in repr(known)


def test_accounts() -> None:
    """Keys of one named account share it; a key without one has an account of its own."""
    plan = plan_of("cartesia")
    accounts = [
        credential("cartesia", key, account, plan).member.account
        for key, account in [("one", "work"), ("two", "work"), ("three", ""), ("four", "")]
    ]
    assert accounts[0] == accounts[1]
    assert len(set(accounts)) == 3


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys where it has some; else servers of one's own, each for itself; a vendor without keys has nothing."""
    monkeypatch.delenv("OPENAI_API_KEYS", raising=False)
    monkeypatch.delenv("CARTESIA_API_KEYS", raising=False)
    assert from_environment("cartesia", []) == ()
    assert from_environment("cartesia", ["http://127.0.0.1:8000"]) == ()
    servers = servers_of("http://10.0.0.1:8000, http://10.0.0.2:8000")
    assert [known.member.id for known in from_environment("openai", servers)] == ["10.0.0.1:8000", "10.0.0.2:8000"]
    with pytest.raises(BadInput, match="2 times"):
        from_environment("openai", [servers[0], servers[0]])
    monkeypatch.setenv("CARTESIA_API_KEYS", "work:one,two")
    known = from_environment("cartesia", ["http://127.0.0.1:8000"], "pro")
    assert [(key.key, key.server, key.member.plan.tag) for key in known] == [
        (secret, "http://127.0.0.1:8000", "cartesia:pro") for secret in ("one", "two")
    ]
    with pytest.raises(BadInput, match="takes one --server"):
        from_environment("cartesia", servers)
