"""What comes of LiteLLM's rows: the same limits or a reason, never a key that may do more than there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litellm.rows import SECRETS, key_row, recorded_texts, tables_of, text_of
from rig.cases import cases

from gatekeeper.keys.import_fields import parse_incoming
from gatekeeper.keys.secrets import hash_secret, key_name
from gatekeeper.litellm.models import ModelNames
from gatekeeper.litellm.plan import Plan, make_plan
from gatekeeper.litellm.tables import TABLES, TableError, read_tables

NOW = datetime(2026, 11, 29, 14, tzinfo=UTC)


def plan_of(own=None, allow_wider=False, **given) -> Plan:
    return make_plan(tables_of(**given), ModelNames(own), NOW, allow_wider=allow_wider)


def only_key(**options):
    (key,) = plan_of(**options).keys
    return key


def test_recorded_rows_come_as_they_were():
    plan = make_plan(read_tables(recorded_texts()), ModelNames(), NOW)
    keys = {item.name: item for item in plan.keys if not item.reasons}
    assert keys["web-frontend"].document == {
        "secret_hash": hash_secret(SECRETS["web-frontend"]),
        "key_name": "sk-...0001",
        "key_alias": "web-frontend",
        "models": ["gemini-2.5-pro", "gemini-2.5-flash"],
        "max_budget": "50",
        "budget_duration": "1mo",
        "budget_reset_at": "2099-12-01T00:00:00+00:00",
        "spend": "12.4",
        "tpm_limit": 1_000_000,
        "rpm_limit": 600,
        "max_parallel_requests": 20,
        "model_rpm_limit": {"gemini-2.5-pro": 60},
        "group": "shop",
        "tags": ["checkout", "eu", "retail"],
        "metadata": {"app": 'web, "front"', "litellm": {"spend": "12.4"}},
    }
    assert keys["nightly-eval"].document["soft_budget"] == "4"
    assert keys["nightly-eval"].document["group"] == "Ann"
    left = [(item.name, item.document["key_name"]) for item in plan.keys if item.reasons]
    assert left == [
        ("gpt-only", "sk-...0003"), ("guarded", "sk-...0005"), ("old", "sk-...0008"),
        ("web-frontend", "sk-...0007"),
    ]  # fmt: skip
    assert [(item.name, item.document.get("spend")) for item in plan.groups] == [
        ("Ann", "3.5"), ("ops", None), ("shop", "123.456"),
    ]  # fmt: skip
    assert [item.document["user_id"] for item in plan.users] == ["customer-1", "customer-2"]
    assert plan.users[0].document["rpm_limit"] == 30
    said = " ".join(plan.remarks)
    assert "one for each session, are left out: 1" in said
    assert "$10000 of which $777.5" in said
    assert "tags have no budgets here: checkout" in said
    assert "here they are 1mo and 1w" in said


def test_both_gateways_store_the_same_digest_of_a_secret():
    """The recorded tokens are those of LiteLLM's own `hash_token`."""
    tokens = {row.text("key_name"): row.text("token") for row in read_tables(recorded_texts()).keys}
    assert {key_name(secret): hash_secret(secret) for secret in SECRETS.values()}.items() <= tokens.items()


def test_what_comes_is_what_the_gateway_takes():
    plan = make_plan(read_tables(recorded_texts()), ModelNames({"fast": "gemini/gemini-2.5-flash"}), NOW)
    for item in plan.items():
        if not item.reasons:
            parse_incoming(item.kind, item.document, 0)


TEAM = {"team_id": "t1", "models": "{}", "metadata": "{}"}
LIMITED = {"budget_id": "b1", "max_budget": "5"}
DAILY = '{"gemini-2.5-pro": {"budget_limit": 5, "time_period": "1d"}}'
# Each would come with a limit less: the cells of the key, other rows, and what the reason names.
LOST = [
    ({"metadata": '{"guardrails": ["pii"]}'}, {}, "guardrails"),
    ({"metadata": '{"tag_rpm_limit": {"a": 1}}'}, {}, "tag_rpm_limit"),
    ({"metadata": '{"model_itpm_limit": {"a": 1}}'}, {}, "model_itpm_limit"),
    ({"metadata": '{"enforced_params": ["user"]}'}, {}, "enforced_params"),
    ({"metadata": '{"denied_passthrough_routes": ["/x"]}'}, {}, "denied_passthrough_routes"),
    ({"metadata": '{"model_rpm_limit": {"gemini-2.5-pro": "5"}}'}, {}, "model_rpm_limit"),
    ({"metadata": '{"model_rpm_limit": {"gemini-2.5-pro": 0}}'}, {}, "model_rpm_limit"),
    ({"metadata": '{"model_tpm_limit": {"fast": 5}}'}, {}, "`model_tpm_limit` of fast"),
    ({"model_max_budget": '{"fast": {"budget_limit": 5}}'}, {}, "`model_max_budget` of fast"),
    ({"policies": "{a}"}, {}, "policies"),
    ({"access_group_ids": "{a}"}, {}, "access_group_ids"),
    ({"object_permission_id": "o"}, {}, "object_permission"),
    ({"agent_id": "a"}, {}, "agent_id"),
    ({"tpd_limit": "1000"}, {}, "tpd_limit"),
    ({"budget_id": "b1"}, {"budgets": [{"budget_id": "b1", "tpd_limit": "1000"}]}, "tpd_limit"),
    ({"budget_limits": '[{"max_budget": 1, "budget_duration": "1d"}]'}, {}, "budget_limits"),
    ({"key_type": "read_only"}, {}, "key_type"),
    ({"model_max_budget": DAILY, "max_budget": "9"}, {},
     "period of `model_max_budget`"),
    ({"model_max_budget": DAILY, "budget_duration": "30d"},
     {}, "period of `model_max_budget`"),
    ({"model_max_budget": '{"gemini-2.5-pro": {"budget_limit": 5, "rpm_limit": 3}}'}, {}, "rpm_limit"),
    ({"model_max_budget": '{"gemini-2.5-pro": "much"}'}, {}, "model_max_budget"),
    ({"organization_id": "o1"},
     {"organizations": [{"organization_id": "o1", "budget_id": "b1"}], "budgets": [LIMITED]}, "organization"),
    ({"organization_id": "o1"},
     {"organizations": [{"organization_id": "o1", "budget_id": "b2", "models": "{a}"}],
      "budgets": [{"budget_id": "b2"}]}, "organization"),
    ({"project_id": "p1"}, {"projects": [{"project_id": "p1", "blocked": "t"}]}, "project"),
    ({"project_id": "p1"}, {"projects": [{"project_id": "p1", "budget_id": "b1"}], "budgets": [LIMITED]},
     "project"),
    ({"team_id": "t1", "user_id": "ann"},
     {"teams": [TEAM], "members": [{"user_id": "ann", "team_id": "t1", "budget_id": "b1"}],
      "budgets": [LIMITED]},
     "budget within the team"),
    ({"team_id": "t1", "user_id": "ann"}, {"teams": [TEAM], "users": [{"user_id": "ann", "rpm_limit": "5"}]},
     "user's rates"),
    ({"team_id": "t1"}, {"teams": [{**TEAM, "tpd_limit": "5"}]}, "tpd_limit"),
    ({"team_id": "t1"}, {"teams": [{**TEAM, "metadata": '{"guardrails": ["a"]}'}]}, "guardrails"),
    ({"team_id": "t1"}, {"teams": [{**TEAM, "policies": "{a}"}]}, "policies"),
    ({"team_id": "t1"},
     {"teams": [{**TEAM, "organization_id": "o1"}],
      "organizations": [{"organization_id": "o1", "budget_id": "b1"}], "budgets": [LIMITED]}, "organization"),
]  # fmt: skip


@cases(("cells", "others", "named"), LOST, ids=[named for *_, named in LOST])
def test_a_key_that_would_have_a_limit_less_is_left_out(cells, others, named):
    left = only_key(keys=[key_row(**cells)], **others)
    assert any(named in reason for reason in left.reasons), left
    comes = only_key(keys=[key_row(**cells)], allow_wider=True, **others)
    assert not comes.reasons
    assert any(named in note and note.startswith("without") for note in comes.notes), comes


UNUSABLE = [
    ({"models": "{gpt-4o}"}, "none of its models"),
    ({"models": "{no-default-models}"}, "none of its models"),
    ({"models": "{gemini/}"}, "none of its models"),
    ({"models": "{fast}"}, "none of its models"),
    ({"models": "{text-embedding-3-small}"}, "none of its models"),
    ({"allowed_routes": "{/chat/completions,management_routes}"}, "none of its allowed_routes"),
    ({"expires": "2026-11-29 13:59:59"}, "expired"),
    ({"budget_duration": "sometimes"}, "no period"),
    ({"token": "sk-never-hashed-in-an-old-release"}, "no SHA-256"),
    ({"team_id": "nobody"}, "does not exist"),
]


@cases(("cells", "said"), UNUSABLE)
def test_what_cannot_come_is_left_out_whatever_is_allowed(cells, said):
    left = only_key(keys=[key_row(**cells)], allow_wider=True)
    assert said in left.reasons[0]
    assert "never-hashed" not in str(left.reasons)


def test_a_list_of_models_never_becomes_no_list():
    for models, globs in (
        ("{}", None), ("{all-proxy-models}", None), ("{all-team-models}", None), ("{gemini/*}", None),
        ("{*}", None),
        ("{gemini/gemini-2.5-pro,gpt-4o}", ["gemini-2.5-pro"]),
        ("{vertex_ai/gemini-2.5-pro,gemini-2.5-pro}", ["gemini-2.5-pro"]),
        ("{gemini-2.5-*,fast}", ["gemini-2.5-*", "gemini-2.5-flash"]),
        ("{no-default-models,gemini-2.5-pro}", ["gemini-2.5-pro"]),
    ):  # fmt: skip
        key = only_key(keys=[key_row(models=models)], own={"fast": "gemini/gemini-2.5-flash"})
        assert (key.document.get("models"), key.reasons) == (globs, []), models


def test_values_that_change_nothing_here_keep_no_key_out():
    key = only_key(keys=[key_row(
        key_type="llm_api", allowed_routes="{llm_api_routes}", permissions='{"pii": false}',
        config='{"a": 1}', aliases='{"a": "b"}', rotation_interval="30d", allowed_cache_controls="{no-cache}",
        blocked="f",
        metadata='{"rpm_limit_type": "best_effort_throughput", "logging": [{"secret": "s3"}], "mine": 1}',
        router_settings="{}", budget_fallbacks="{}", key_name="",
    )])  # fmt: skip
    assert key.reasons == []
    assert key.document == {"secret_hash": "0" * 64, "key_name": "sk-...????", "metadata": {"mine": 1}}
    assert {note.split("`")[1] for note in key.notes} == {
        "aliases", "config", "permissions", "rotation_interval", "allowed_cache_controls", "logging",
    }  # fmt: skip


def test_a_budget_of_the_table_of_budgets_counts_where_the_key_has_none():
    tier = {"budget_id": "b1", "max_budget": "10", "rpm_limit": "7", "budget_duration": "1d",
            "budget_reset_at": "2026-11-30 00:00:00"}  # fmt: skip
    key = only_key(keys=[key_row(budget_id="b1", rpm_limit="3", spend="4")], budgets=[tier])
    wanted = {"max_budget": "10", "rpm_limit": 3, "budget_duration": "1d", "spend": "4"}
    assert {name: key.document.get(name) for name in wanted} == wanted
    # A period of its own is not the tier's.
    own = only_key(keys=[key_row(budget_id="b1", budget_duration="7d")], budgets=[tier])
    assert (own.document["budget_duration"], "budget_reset_at" in own.document) == ("1w", False)


def test_budgets_of_models_have_the_period_of_the_budget():
    budget = '{"budget_limit": 0.00001, "time_period": "30d"}'
    given = f'{{"gemini/gemini-2.5-pro": {budget}, "gpt-4o": {{"budget_limit": 1}}}}'
    for cells in ({}, {"budget_duration": "30d", "max_budget": "5"}):
        key = only_key(keys=[key_row(model_max_budget=given, models="{gemini/gemini-2.5-*,gpt-4o}", **cells)])
        assert key.document["model_max_budget"] == {"gemini-2.5-pro": "0.00001"}
        assert (key.document["budget_duration"], key.reasons) == ("1mo", [])


def test_a_rate_of_zero_is_a_block():
    key = only_key(keys=[key_row(rpm_limit="0")])
    assert (key.document["blocked"], "rpm_limit" in key.document) == (True, False)


def test_aliases_become_unique_and_the_first_that_comes_keeps_it():
    given = [
        ("ci", "{gpt-4o}"),
        ("ci", "{}"),
        ("ci", "{}"),
        ("ci-2", "{}"),
        ("sk-0123456789abcdef", "{}"),
        ("a\tb", "{}"),
    ]
    rows = [
        key_row(token=f"{number}" * 64, key_alias=alias, models=models, created_at=f"2026-01-0{number + 1}")
        for number, (alias, models) in enumerate(given)
    ]
    keys = {key.document["secret_hash"][0]: key for key in plan_of(keys=rows[::-1]).keys}
    aliases = [keys[number].document.get("key_alias") for number in sorted(keys)]
    assert aliases == ["ci", "ci", "ci-3", "ci-2", None, "a b"]
    assert keys["4"].name == "sk-...wxyz (44444444)"


def test_teams_are_called_by_their_alias_unless_two_have_it():
    teams = [{**TEAM, "team_id": name, "team_alias": alias} for name, alias in
             (("t1", "shop"), ("t2", "shop"), ("t3", "ops"), ("t4", ""), ("t5", "t1"))]  # fmt: skip
    groups = plan_of(keys=[], teams=teams).groups
    assert [group.name for group in groups] == ["ops", "t1", "t2", "t4", "t5"]
    assert groups[0].document["metadata"] == {"litellm": {"was": "team t3"}}


def test_an_internal_users_budget_is_that_of_the_keys_without_a_team():
    users = [{"user_id": "u1", "user_alias": "shop", "max_budget": "5"}, {"user_id": "u2", "max_budget": ""},
             {"user_id": "u3", "max_budget": "9"}]  # fmt: skip
    teams = [{**TEAM, "team_alias": "shop"}]
    rows = [
        key_row(token="1" * 64, user_id="u1"),
        key_row(token="2" * 64, user_id="u1", team_id="t1"),
        key_row(token="3" * 64, user_id="u2"),
    ]
    plan = plan_of(keys=rows, users=users, teams=teams)
    assert [key.document.get("group") for key in plan.keys] == ["shop (u1)", "shop", None]
    assert [group.name for group in plan.groups] == ["shop", "shop (u1)"]  # u3 has no key


def test_groups_of_internal_users_have_names_of_their_own_that_can_be_seen():
    users = [
        {"user_id": "u1", "user_alias": "shop ", "max_budget": "5"},
        {"user_id": "u2", "user_alias": " ", "user_email": "ann@shop.example", "max_budget": "5"},
        {"user_id": "u3", "user_alias": "a" * 200, "max_budget": "5"},
        {"user_id": "u4", "user_alias": "a" * 200, "max_budget": "5"},
        {"user_id": "t1", "max_budget": "5"},
    ]
    teams = [{**TEAM, "team_alias": "shop"}, {**TEAM, "team_id": "t2", "team_alias": "t1 "}]
    rows = [key_row(token=f"{number}" * 64, user_id=row["user_id"]) for number, row in enumerate(users)]
    plan = plan_of(keys=rows, users=users, teams=teams)
    assert [group.reasons for group in plan.groups] == [[]] * 7
    names = {group.document["metadata"]["litellm"]["was"]: group.name for group in plan.groups}
    assert names == {
        "team t1": "shop",
        "team t2": "t2",
        "internal user u1": "shop (u1)",
        "internal user u2": "ann@shop.example",
        "internal user u3": "a" * 200,
        "internal user u4": "a" * 195 + " (u4)",
        "internal user t1": "t1",
    }


@pytest.mark.parametrize("reverse", [False, True])
def test_of_two_names_of_one_model_the_narrower_limit_comes(reverse):
    for name, numbers, left in (
        ("model_max_budget", {"gemini/gemini-2.5-pro": 5, "gemini-2.5-pro": 10}, "5"),
        ("model_max_budget", {"gemini/gemini-2.5-pro": "infinity", "gemini-2.5-pro": 10}, "10"),
        ("model_rpm_limit", {"gemini/gemini-2.5-pro": 5, "gemini-2.5-pro": 10}, 5),
    ):
        given = dict(sorted(numbers.items(), reverse=reverse))
        column = name if name == "model_max_budget" else "metadata"
        cells = {column: json.dumps(given if column == name else {name: given})}
        (key,) = plan_of(keys=[key_row(**cells)]).keys
        assert key.document[name] == {"gemini-2.5-pro": left}, (name, numbers)


def test_the_secret_before_a_rotation_comes_with_its_end():
    row = {"active_token_id": "0" * 64}
    texts = {table: text_of(table, []) for table in TABLES}
    texts["LiteLLM_VerificationToken"] = text_of("LiteLLM_VerificationToken", [key_row()])
    texts["LiteLLM_DeprecatedVerificationToken"] = text_of(
        "LiteLLM_DeprecatedVerificationToken",
        [
            {**row, "token": "1" * 64, "revoke_at": "2026-11-29 13:59:00"},  # it is over
            {**row, "token": "2" * 64, "revoke_at": "2026-12-01 00:00:00"},
            {**row, "token": "3" * 64, "revoke_at": "2026-11-30 00:00:00"},
            {"token": "4" * 64, "active_token_id": "9" * 64, "revoke_at": "2026-11-30 00:00:00"},
        ],
    )
    (key,) = make_plan(read_tables(texts), ModelNames(), NOW).keys
    assert key.document["previous_secret_hash"] == "2" * 64
    assert key.document["previous_expires"] == "2026-12-01T00:00:00+00:00"
    assert "there are 2" in key.notes[1]


def test_an_internal_user_who_may_use_no_model_has_no_key_that_may():
    users = [{"user_id": "u1", "models": "{no-default-models}"}, {"user_id": "u2", "models": "{gpt-4o}"}]
    rows = [key_row(token=f"{number}" * 64, user_id=f"u{number}", models=models) for number, models in
            ((1, "{}"), (2, "{gemini-2.5-pro}"))]  # fmt: skip
    for key in plan_of(keys=rows, users=users, allow_wider=True).keys:
        assert "none of its models is Google's" in key.reasons[0]


def test_an_end_user_is_never_left_out():
    """Without a record it would have no limit at all."""
    rows = [
        {"user_id": "a", "budget_id": "b1", "allowed_model_region": "eu"},
        {"user_id": "b", "models": "{gpt-4o}"},
        {"user_id": "c", "budget_id": "b2"},
        {"user_id": "d"},
    ]
    budgets = [{"budget_id": "b1", "max_budget": "5", "tpd_limit": "9"},
               {"budget_id": "b2", "max_budget": "5", "budget_duration": "sometimes"}]  # fmt: skip
    users = {item.name: item for item in plan_of(keys=[], end_users=rows, budgets=budgets).users}
    assert users.keys() == {"a", "b", "c"}
    assert not any(item.reasons for item in users.values())
    assert "`tpd_limit`" in users["a"].notes[0]
    assert "`allowed_model_region`" in users["a"].notes[1]
    assert [item.document.get("blocked") for item in users.values()] == [None, True, True]


def test_what_the_gateway_would_not_take_keeps_out_itself_only():
    rows = [
        key_row(token="1" * 64, metadata=f'{{"tags": ["{"x" * 129}"]}}'),
        key_row(token="2" * 64, metadata=f'{{"mine": "{"x" * 17_000}"}}'),
        key_row(token="3" * 64, key_alias=" ", user_id="\t"),
    ]
    keys = {key.document["secret_hash"][0]: key for key in plan_of(keys=rows).keys}
    assert "`tags`" in keys["1"].reasons[0]
    assert "`metadata`" in keys["2"].reasons[0]
    assert (keys["3"].reasons, "user_id" in keys["3"].document) == ([], False)
    # Of a group that does not come no key does.
    teams = [{**TEAM, "models": "{" + ",".join(f"gemini-{n}" for n in range(1001)) + "}"}]
    plan = plan_of(keys=[key_row(team_id="t1")], teams=teams)
    assert "`models`" in plan.groups[0].reasons[0]
    assert plan.keys[0].reasons == ["its group t1 is left out"]


def test_a_table_that_rows_refer_to_must_be_there():
    texts = recorded_texts()
    for table in ("LiteLLM_TeamTable", "LiteLLM_BudgetTable", "LiteLLM_UserTable", "LiteLLM_TeamMembership"):
        with pytest.raises(TableError, match=f"rows refer to {table}, which is not there"):
            make_plan(
                read_tables({name: text for name, text in texts.items() if name != table}), ModelNames(), NOW
            )
    with pytest.raises(TableError, match="no table LiteLLM_VerificationToken"):
        read_tables({})


NAMES = st.sampled_from(
    [
        "gemini/gemini-2.5-pro",
        "gemini-2.5-flash",
        "gpt-4o",
        "openai/*",
        "fast",
        "GEMINI-PRO",
        "",
        "*x",
        "gemini/",
        "no-default-models",
        "vertex_ai/claude-3",
        "models/gemini-2.5-pro",
        "gemini 2",
        "anthropic/claude",
        'a"b{,}',
    ]
)


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_no_list_of_names_allows_more_than_it_did(names):
    """What is allowed here is one of the names, or the key does not come."""
    literal = "{" + ",".join('"' + name.replace('"', '\\"') + '"' for name in names) + "}"
    key = only_key(keys=[key_row(models=literal)])
    globs = key.document.get("models", [])
    assert globs or key.reasons
    assert set(globs) <= {name.removeprefix("gemini/").removeprefix("vertex_ai/") for name in names}


AMOUNTS = st.one_of(st.none(), st.integers(0, 1000).map(lambda cents: str(cents / 100)))
PERIODS = st.sampled_from([None, "1d", "7d", "30d", "1mo", "2h", "daily"])


@given(AMOUNTS, PERIODS, AMOUNTS, PERIODS, AMOUNTS)
def test_a_budget_stays_a_budget(own, period, tiers, tier_period, spend):
    cells = {
        "max_budget": own or "",
        "budget_duration": period or "",
        "spend": spend or "0",
    }
    tier = {"budget_id": "b1", "max_budget": tiers or "", "budget_duration": tier_period or ""}
    document = only_key(keys=[key_row(budget_id="b1", **cells)], budgets=[tier]).document
    wanted = own if own is not None else tiers
    assert (wanted is None) == ("max_budget" not in document)
    assert wanted is None or Decimal(str(document["max_budget"])) == Decimal(wanted)
    assert ("budget_duration" in document) == bool(period or tier_period)
    assert Decimal(str(document.get("spend", "0"))) == Decimal(spend or "0")
