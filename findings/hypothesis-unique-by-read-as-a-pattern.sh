#!/usr/bin/env bash
# Hypothesis 6.170.17 compiles the source of a `unique_by` as a regular expression: st.lists(st.tuples(…),
# unique_by=lambda …) fails, or warns, for a function whose text is no valid pattern.
#
# To find out whether the function is `lambda x: x[0]`, which it can do faster, it calls
# re.fullmatch(SOURCE, PATTERN): the two arguments are the wrong way round. So
# - a key function with an opening parenthesis in a string raises re.error (PatternError) from inside Hypothesis,
# - one with `[[` in a string is a FutureWarning, which `-W error` makes an error,
# - and the case that is meant, `lambda x: x[0]`, is not recognised, so that it is never made faster.
# A function with a name, by `def`, is described by its name, and meets none of it.
#
# Output, and exit status 0 where that is so, 1 where Hypothesis does otherwise:
#   parenthesis: PatternError or error
#   brackets: FutureWarning
#   first item recognised: False
#   named function: 3 lists
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/look.py" <<'PYTHON'
import re
import warnings

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies._internal.core import _gets_first_item

PAIRS = st.tuples(st.sampled_from(["(", "[[", "a"]), st.integers())
warnings.simplefilter("error", FutureWarning)


def draw(unique_by):
    seen = []

    @settings(max_examples=3, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(PAIRS, unique_by=unique_by))
    def take(drawn):
        seen.append(drawn)

    take()
    return f"{len(seen)} lists"


def outcome(unique_by):
    try:
        return draw(unique_by)
    except re.error:
        return "PatternError or error"
    except FutureWarning:
        return "FutureWarning"


def key(pair):
    return pair if pair[0] in ("(", "[[") else pair[0]


by_parenthesis = lambda pair: pair if pair[0] == "(" else pair[0]
by_brackets = lambda pair: pair if pair[0] == "[[" else pair[0]
first = lambda x: x[0]
print("parenthesis:", outcome(by_parenthesis))
print("brackets:", outcome(by_brackets))
print("first item recognised:", _gets_first_item(first))
print("named function:", outcome(key))
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "hypothesis==6.170.17"
"$folder/venv/bin/python" "$folder/look.py" | tee "$folder/seen"
sed -n '/^# Output/,/^set/s/^#   //p' "$0" | diff - "$folder/seen"
