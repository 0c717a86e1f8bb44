"""Google keys as tables of the settings file: what they may say, and what a person is told when they may
not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.google_key import MAX_WEIGHT, GoogleKey, GoogleKeyError, read_google_key
from gatekeeper.settings import SETTINGS, SettingError, load, masked

SECRET = "AIzaOfTheTestsOnly1"
(SETTING,) = (setting for setting in SETTINGS if setting.name == "google_keys")
FILE = '[[google_keys]]\nlabel = "one"\nkey_file = "no"'
TABLE = f'[[google_keys]]\nlabel = "one"\nkey = "{SECRET}"\n'


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(text: str) -> Path:
    path = Path("some.toml")
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_says_all_of_a_key() -> None:
    said = (
        TABLE + 'project = "team"\nweight = 2\nmodels = ["gemini-2.5-*", "models/a"]\nrpm = 60\ntpm = 1000\n'
    )
    settings = load({}, {}, written(said))
    expected = GoogleKey(
        label="one", secret=SECRET, project="team", weight=2.0, models=("gemini-2.5-*", "a"), rpm=60, tpm=1000
    )
    assert settings.own_google_keys == (expected,)
    assert settings.sources["google_keys"] == "some.toml"
    assert SECRET not in repr(settings)


def test_without_a_project_each_key_has_its_own() -> None:
    settings = load({}, {"GEMINI_API_KEY": "AIzaTwo,AIzaThree"}, written(TABLE))
    assert [(key.label, key.project) for key in settings.own_google_keys] == [
        ("one", "one"),
        ("#1", "#1"),
        ("#2", "#2"),
    ]


def test_a_key_that_a_table_takes_from_the_environment_is_there_once() -> None:
    file = written('[[google_keys]]\nlabel = "one"\nkey_env = "GEMINI_API_KEY"\nproject = "team"\n')
    settings = load({}, {"GEMINI_API_KEY": SECRET}, file)
    assert [(key.label, key.secret, key.project) for key in settings.own_google_keys] == [
        ("one", SECRET, "team")
    ]


def test_a_secret_may_be_in_a_file_beside_the_settings(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
    file = tmp_path / "below" / "some.toml"
    file.write_text('[[google_keys]]\nlabel = "one"\nkey_file = "secret"\n', encoding="utf-8")
    assert [key.secret for key in load({}, {}, file).own_google_keys] == [SECRET]


@cases(
    ("text", "place", "shown", "allowed"),
    [
        ("google_keys = 1", "google_keys", "the value", "tables"),
        ("google_keys = []", "google_keys", "the value", "tables"),
        (f'google_keys = ["{SECRET}"]', "google_keys", "the value", "tables"),
        (
            TABLE + "colour = 1",
            "google_keys[1].colour",
            "this member",
            "label, key, key_env, key_file, project",
        ),
        (f'[[google_keys]]\nkey = "{SECRET}"', "google_keys[1].label", "nothing", "1 to 64 letters"),
        (TABLE.replace('"one"', '"#1"'), "google_keys[1].label", "'#1'", "1 to 64 letters"),
        (TABLE.replace('"one"', "7"), "google_keys[1].label", "7", "1 to 64 letters"),
        (TABLE.replace('"one"', f'"{SECRET}"'), "google_keys[1].label", "the secret", "what may be shown"),
        (TABLE + f'project = "{SECRET}"', "google_keys[1].project", "the secret", "what may be shown"),
        ('[[google_keys]]\nlabel = "one"', "google_keys[1].key", "nothing", "one secret, by `key` or"),
        (TABLE + 'key_env = "X"', "google_keys[1].key", "key and key_env", "one secret, by `key` or"),
        (TABLE.replace(SECRET, "a b"), "google_keys[1].key", "the secret", "printable ASCII"),
        (TABLE.replace(SECRET, ""), "google_keys[1].key", "the value", "a text"),
        ('[[google_keys]]\nlabel = "one"\nkey_env = "X"', "google_keys[1].key_env", "'X'", "that is set"),
        (
            '[[google_keys]]\nlabel = "one"\nkey_file = "no"',
            "google_keys[1].key_file",
            "'no'",
            "No such file",
        ),
        (TABLE + 'project = ""', "google_keys[1].project", "''", "the name of a Google project"),
        (TABLE + "weight = 0", "google_keys[1].weight", "0", "a number above 0"),
        (TABLE + "weight = true", "google_keys[1].weight", "True", "a number above 0"),
        (TABLE + "weight = nan", "google_keys[1].weight", "nan", "a number above 0"),
        (TABLE + "weight = inf", "google_keys[1].weight", "inf", "at most 1000"),
        (TABLE + "models = []", "google_keys[1].models", "[]", "a list of globs"),
        (TABLE + 'models = "a"', "google_keys[1].models", "'a'", "a list of globs"),
        (TABLE + 'models = ["a b"]', "google_keys[1].models", "['a b']", "a list of globs"),
        (TABLE + "rpm = 0", "google_keys[1].rpm", "0", "a whole number of requests"),
        (TABLE + "rpm = 1.5", "google_keys[1].rpm", "1.5", "a whole number of requests"),
        (TABLE + "tpm = -1", "google_keys[1].tpm", "-1", "a whole number of input tokens"),
        (TABLE + TABLE, "google_keys[1].label", "'one'", "that no other table has"),
        (
            TABLE + TABLE.replace('"one"', '"two"'),
            "google_keys[1].key",
            "the secret",
            "that no other table has",
        ),
    ],
)
def test_what_is_not_allowed_is_named_with_its_place(text: str, place: str, shown: str, allowed: str) -> None:
    with pytest.raises(SettingError) as refused:
        load({}, {}, written(text))
    message = str(refused.value)
    assert message.startswith(f"{place}: {shown} (set by some.toml) is not allowed; it takes ")
    assert allowed in message
    assert SECRET not in message
    assert "\n" not in message


members = st.sampled_from(["label", "key", "project", "weight", "models", "rpm", "tpm", "other", ""])
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just(SECRET)),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(members, values))
def test_any_table_is_a_key_or_an_error_without_the_secret(table: dict[str, object]) -> None:
    others = {name: value for name, value in table.items() if name != "key"}
    try:
        key = read_google_key(table, {"key": str})
    except GoogleKeyError as error:
        assert error.allowed  # noqa: PT017
        assert SECRET not in str(error) or SECRET in repr(others)  # noqa: PT017
        return
    assert (key.label, key.secret) == (table["label"], table["key"])
    assert SECRET not in repr(key)
    assert 0 < key.weight <= MAX_WEIGHT


def test_the_settings_in_effect_show_labels_and_no_secret() -> None:
    settings = load({}, {}, written(TABLE + 'project = "team"'))
    shown = masked(SETTING, settings.google_keys)
    assert shown == "one …nly1 (project team)"
