#!/usr/bin/env bash
# genai-prices 0.2.3 prices Gemini's usage without what it does not read, and tiers at the standard price, in silence.
#
# - The output of a Live turn is free: responseTokenCount is not read, and neither is any total.
# - Thoughts that only the total has (responses of v1 and in OpenAI's form) are free; thoughts that are also in
#   the candidates are charged twice.
# - What an embedding was made of (gemini-embedding-2 writes promptTokenDetails) is not read: film at the price of
#   text, a sixtieth.
# - service_tier "flex" or "priority" in the price context changes nothing for the text models: they have prices for
#   it on Google's page.
#
# Output, and exit status 0 where that is so, 1 where the package does otherwise; amounts in dollars:
#   a Live turn of 300 tokens in, 150 of sound out: 0.000675, of which output 0
#   100 candidates, 300 thoughts only in the total: 0.00055 (as 100 tokens of output)
#   79 candidates, 71 thoughts among them: 0.0003774 (as 150 tokens of output)
#   1000 tokens of film embedded: 0.0002 (text: 0.0002)
#   2.5 Flash, standard 0.0008, flex 0.0008, priority 0.0008
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q genai-prices==0.2.3
"$folder/venv/bin/python" - >"$folder/seen" <<'PYTHON'
from datetime import datetime, timezone

from genai_prices import extract_usage

AT = datetime(2026, 11, 24, tzinfo=timezone.utc)


def priced(model, context=None, **usage):
    found = extract_usage({"modelVersion": model, "usageMetadata": usage}, provider_id="google")
    return found.usage, found.calc_price(genai_request_timestamp=AT, price_context=context)


def dollars(amount):
    return f"{amount.normalize():f}"


def details(name, count):
    return [{"modality": name, "tokenCount": count}]


_, price = priced(
    "gemini-3.1-flash-live-preview",
    promptTokenCount=300, responseTokenCount=150, totalTokenCount=450,
    promptTokensDetails=details("TEXT", 100) + details("AUDIO", 200),
    responseTokensDetails=details("AUDIO", 150),
)
output = dollars(price.output_price)
print(f"a Live turn of 300 tokens in, 150 of sound out: {dollars(price.total_price)}, of which output {output}")
used, price = priced("gemini-2.5-flash", promptTokenCount=1000, candidatesTokenCount=100, totalTokenCount=1400)
total = dollars(price.total_price)
print(f"100 candidates, 300 thoughts only in the total: {total} (as {used.output_tokens} tokens of output)")
used, price = priced(
    "gemini-2.5-flash", promptTokenCount=8, candidatesTokenCount=79, thoughtsTokenCount=71, totalTokenCount=87
)
total = dollars(price.total_price)
print(f"79 candidates, 71 thoughts among them: {total} (as {used.output_tokens} tokens of output)")
film, text = (
    priced("gemini-embedding-2", promptTokenCount=1000, promptTokenDetails=details(name, 1000))[1].total_price
    for name in ("VIDEO", "TEXT")
)
print(f"1000 tokens of film embedded: {dollars(film)} (text: {dollars(text)})")
tiers = {
    tier: priced(
        "gemini-2.5-flash", {"service_tier": tier},
        promptTokenCount=1000, candidatesTokenCount=200, totalTokenCount=1200,
    )[1].total_price
    for tier in ("standard", "flex", "priority")
}
print("2.5 Flash,", ", ".join(f"{tier} {dollars(price)}" for tier, price in tiers.items()))
PYTHON
cat "$folder/seen"
sed -n '/^# Output/,/^set/s/^#   //p' "$0" | diff - "$folder/seen"
