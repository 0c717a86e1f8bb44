"""Secrets: their shape, their masks, and comparing them."""

from __future__ import annotations

import hashlib
import re

from rig.cases import cases

from gatekeeper.keys.secrets import (
    hash_secret,
    key_name,
    matches_master,
    new_secret,
    new_token_id,
    redacted_name,
)


def test_a_secret_has_256_bits_and_is_url_safe():
    made = {new_secret() for _ in range(50)}

    assert len(made) == 50
    assert all(re.fullmatch(r"sk-[A-Za-z0-9_-]{43}", secret) for secret in made)


def test_a_token_id_is_new_each_time():
    made = {new_token_id() for _ in range(50)}

    assert len(made) == 50
    assert all(re.fullmatch(r"key_[0-9a-f]{16}", token_id) for token_id in made)


@cases("secret", ["sk-1", "ключ", "", "\ud800"])
def test_any_text_has_a_digest(secret):
    assert hash_secret(secret) == hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def test_a_key_is_recognised_by_its_last_letters():
    assert key_name("sk-0123456789abcdefwxyz") == "sk-...wxyz"


@cases(
    ("name", "mask"),
    [
        ("team-a", "team-a"),
        ("key_0123456789abcdef", "key_0123456789abcdef"),
        ("sk-0123456789abcdefwxyz", "...wxyz"),
        ("sk-short", "...hort"),
        ("a-secret-that-somebody-chose", "...hose"),
    ],
)
def test_a_name_that_may_be_a_secret_is_masked(name, mask):
    assert redacted_name(name) == mask


@cases(("candidate", "same"), [("master-1", True), ("master-2", False), ("", False), ("master-1 ", False)])
def test_only_the_master_key_is_the_master_key(candidate, same):
    assert matches_master(candidate, "master-1") is same
