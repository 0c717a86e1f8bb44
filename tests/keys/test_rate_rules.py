"""Which rates apply to which call, and how a refusal names them."""

from __future__ import annotations

from rig.cases import cases

from gatekeeper.keys.account import Account, AccountId, NamedAccount
from gatekeeper.keys.limits import NamedRecord
from gatekeeper.keys.rate_rules import limits_of_accounts, limits_of_models, rate_refusal
from gatekeeper.keys.rates import AppliedLimits, Exceeded, Rate, RateLimits
from gatekeeper.keys.virtual_key import KeyRecord, KeyState
from gatekeeper.refusals import Reason


def key(**limits: object) -> Account:
    required = {"token_id": "key_1", "secret_hash": "", "key_name": "sk-...wxyz", "key_alias": "ci"}
    return KeyState(record=KeyRecord(**required, created_at=0, updated_at=0, **limits))


def group(**limits: object) -> Account:
    return NamedAccount(kind="group", record=NamedRecord(name="shop", created_at=0, updated_at=0, **limits))


KEY, GROUP = AccountId("key", "key_1"), AccountId("group", "shop")


@cases(
    ("accounts", "counts_tokens", "demands"),
    [
        ([key(), group()], True, []),
        ([key(rpm_limit=5), group(tpm_limit=7)], True, [(KEY, (5, None, None)), (GROUP, (None, 7, None))]),
        ([key(rpm_limit=5, tpm_limit=9), group(tpm_limit=7)], False, [(KEY, (5, None, None))]),
        ([key(max_parallel_requests=2)], False, [(KEY, (None, None, 2))]),
        ([key(model_rpm_limit={"*": 1})], True, []),
    ],
)
def test_the_rates_of_accounts(accounts, counts_tokens, demands):
    found = limits_of_accounts(accounts, counts_tokens=counts_tokens)
    assert found == [AppliedLimits(account, RateLimits(*limits)) for account, limits in demands]


PRO, FLASH = KEY._replace(model="*-pro"), KEY._replace(model="models/*-flash")


@cases(
    ("models", "counts_tokens", "demands"),
    [
        (["gemini-2.5-pro"], True, [(PRO, (5, None))]),
        (["models/gemini-2.5-flash"], True, [(FLASH, (6, 7))]),
        (["gemini-2.5-flash"], False, [(FLASH, (6, None))]),
        (["gemini-2.5-flash", "a-pro"], False, [(PRO, (5, None)), (FLASH, (6, None))]),
        (["gemma"], True, []),
        ([], True, []),
        (None, False, [(PRO, (5, None)), (FLASH, (6, None))]),
        # What is not known counts everywhere.
        (None, True, [(PRO, (5, None)), (FLASH, (6, 7)), (GROUP._replace(model="x"), (None, 1))]),
    ],
)
def test_the_rates_of_models(models, counts_tokens, demands):
    own = key(model_rpm_limit={"*-pro": 5, "models/*-flash": 6}, model_tpm_limit={"models/*-flash": 7})
    accounts = [own, group(model_tpm_limit={"x": 1})]
    found = limits_of_models(accounts, models, counts_tokens=counts_tokens)
    assert found == [AppliedLimits(account, RateLimits(*limits)) for account, limits in demands]


@cases(
    ("exceeded", "reason", "wait", "message", "metadata"),
    [
        (
            Exceeded(KEY, Rate.REQUESTS, 60, 12_000_001),
            Reason.RATE_LIMITED,
            12.000001,
            "The key ci may make 60 requests a minute, and has made them: try again in 13 s, "
            "or ask the gateway's administrator for a higher rpm_limit.",
            {"token_id": "key_1", "limit": "rpm_limit", "value": "60"},
        ),
        (
            Exceeded(FLASH, Rate.REQUESTS, 1, 1),
            Reason.RATE_LIMITED,
            0.000001,
            "The key ci, for the models models/*-flash, may make 1 request a minute, and has made them: "
            "try again in 1 s, or ask the gateway's administrator for a higher model_rpm_limit.",
            {"token_id": "key_1", "models": "models/*-flash", "limit": "model_rpm_limit", "value": "1"},
        ),
        (
            Exceeded(GROUP, Rate.TOKENS, 100_000, 90_000_000),
            Reason.RATE_LIMITED,
            90.0,
            "The group shop may use 100,000 tokens a minute, and has not enough of them left for this call: "
            "try again in 90 s, or ask the gateway's administrator for a higher tpm_limit.",
            {"group": "shop", "limit": "tpm_limit", "value": "100000"},
        ),
        (
            Exceeded(GROUP, Rate.PARALLEL, 4, None),
            Reason.TOO_MANY_PARALLEL,
            1.0,
            "The group shop may make 4 requests at a time, and that many are running: try again when one of "
            "them has ended, or ask the gateway's administrator for a higher max_parallel_requests.",
            {"group": "shop", "limit": "max_parallel_requests", "value": "4"},
        ),
    ],
)
def test_a_refusal_names_the_limit_whose_it_is_and_when_to_come_again(
    exceeded, reason, wait, message, metadata
):
    refusal = rate_refusal(exceeded, [group(), key()])
    assert (refusal.reason, refusal.retry_after, refusal.message) == (reason, wait, message)
    assert refusal.metadata == metadata
