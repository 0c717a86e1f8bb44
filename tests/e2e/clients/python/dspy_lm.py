"""DSPy."""

from driver import BASE, KEY, operation, run

# recipe
import dspy

lm = dspy.LM("gemini/gemini-2.5-flash", api_base=f"{BASE}/v1beta", api_key=KEY, cache=False)
# end of recipe


@operation
def call():
    return lm("Tell me of bees")


@operation
def predict():
    with dspy.context(lm=lm):
        return str(dspy.Predict("question -> answer")(question="Say hello"))


@operation
def error_400():
    return lm("!400")


run()
