#!/usr/bin/env bash
# LiteLLM 1.109.1, with the table that comes with it, prices Gemini models that the table does not have at 0.0, and
# charges cached tokens of a batch beside the prompt, without an error or a warning.
#
# - Ids that look like a known one cost 0.0: a model of the past (gemini-3-pro-preview), an id that nobody offers.
#   Others raise "isn't mapped yet", so that 0.0 reads as a price.
# - In a batch every unknown model costs 0.0.
# - Cached tokens without cacheTokensDetails, of a prompt that is sound: promptTokenCount includes them, but a batch is
#   charged for all of the prompt and for them, at the price of cached text.
#
# Output, and exit status 0 where that is so, 1 where the package does otherwise; amounts in dollars for 1000
# tokens in and 200 out (the batch: 2000 of sound in, 1500 of them cached):
#   gemini-2.5-flash: 0.0007999999999999999
#   gemini-3-pro-preview: 0.0
#   gemini-2.5-flash-ultra-2099: 0.0
#   gemini-4-neon: not mapped
#   gemini-4-neon in a batch: 0.0
#   gemini-2.5-flash in a batch, cached sound: 0.001295, of which input 0.001045
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q litellm==1.109.1
LITELLM_LOCAL_MODEL_COST_MAP=True "$folder/venv/bin/python" - >"$folder/seen" <<'PYTHON'
import litellm
from litellm.cost_calculator import batch_cost_calculator
from litellm.llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini import VertexGeminiConfig


def usage(**members):
    return VertexGeminiConfig._calculate_usage({"usageMetadata": members})


def cost(model):
    try:
        return sum(litellm.cost_per_token(f"gemini/{model}", usage_object=PLAIN))
    except Exception as error:
        return "not mapped" if "mapped" in str(error) else error


PLAIN = usage(promptTokenCount=1000, candidatesTokenCount=200, totalTokenCount=1200)
for model in ("gemini-2.5-flash", "gemini-3-pro-preview", "gemini-2.5-flash-ultra-2099", "gemini-4-neon"):
    print(f"{model}: {cost(model)}")
print("gemini-4-neon in a batch:", sum(batch_cost_calculator(PLAIN, "gemini/gemini-4-neon", "gemini")))
sound = usage(
    promptTokenCount=2000, cachedContentTokenCount=1500, candidatesTokenCount=200, totalTokenCount=2200,
    promptTokensDetails=[{"modality": "AUDIO", "tokenCount": 2000}],
)
parts = batch_cost_calculator(sound, "gemini/gemini-2.5-flash", "gemini")
print(f"gemini-2.5-flash in a batch, cached sound: {sum(parts):.6f}, of which input {parts[0]:.6f}")
PYTHON
cat "$folder/seen"
sed -n '/^# Output/,/^set/s/^#   //p' "$0" | diff - "$folder/seen"
