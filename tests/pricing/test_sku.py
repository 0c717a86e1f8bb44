"""SKUs of Google's bill, as bills of the Gemini API show them, and what they charge for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.pricing.sku import Charge, component_charge, families_of, model_family, sku_charge
from gatekeeper.startup import load_catalogue

CATALOGUE = load_catalogue()
FAMILIES = families_of(name for model in CATALOGUE.models() for name in model.ids)
GC, GC_, TOKENS = "Generate content", "Generate_content", "token count"

CASES = {
    f"{GC} input {TOKENS} gemini 2.5 flash short input text":
        Charge("gemini-2.5-flash", "input", "text", "standard", "short"),
    f"{GC} output {TOKENS} gemini 2.5 flash short input text":
        Charge("gemini-2.5-flash", "output", "text", "standard", "short"),
    f"{GC} output {TOKENS} gemini 2.5 flash short output text non-thinking":
        Charge("gemini-2.5-flash", "output", "text", "standard", "short"),
    f"{GC} input {TOKENS} gemini 2.5 flash long input text":
        Charge("gemini-2.5-flash", "input", "text", "standard", "long"),
    f"{GC} input {TOKENS} gemini 2.5 flash lite short input text":
        Charge("gemini-2.5-flash-lite", "input", "text", "standard", "short"),
    f"{GC} cached input {TOKENS} gemini 2.5 flash input short text":
        Charge("gemini-2.5-flash", "cached", "text", None, "short"),
    f"{GC} cached input {TOKENS} gemini 2.5 pro short input":
        Charge("gemini-2.5-pro", "cached", None, None, "short"),
    f"{GC} cached input {TOKENS} gemini 2.5 flash input audio":
        Charge("gemini-2.5-flash", "cached", "audio"),
    f"{GC} input {TOKENS} Gemini 2.5 Pro input image": Charge("gemini-2.5-pro", "input", "image", "standard"),
    f"{GC} input {TOKENS} gemini 3.1 flash lite preview text":
        Charge("gemini-3.1-flash-lite", "input", "text", "standard"),
    f"{GC} output {TOKENS} gemini 3 flash text flex": Charge("gemini-3-flash", "output", "text", "flex"),
    f"{GC} output {TOKENS} gemini 3.8 flash text priority":
        Charge("gemini-3.8-flash", "output", "text", "priority"),
    f"{GC} input {TOKENS} gemini 3.8 flash video": Charge("gemini-3.8-flash", "input", "video", "standard"),
    f"{GC} input {TOKENS} gemini 3.7 flash image flex caching":
        Charge("gemini-3.7-flash", "cached", "image", "flex"),
    f"{GC_} text output {TOKENS} for gemini 3 flash batch":
        Charge("gemini-3-flash", "output", "text", "batch"),
    f"{GC_} cached image input {TOKENS} for gemini 3 flash": Charge("gemini-3-flash", "cached", "image"),
    f"{GC_} text cached input {TOKENS} for gemini 3 pro short":
        Charge("gemini-3-pro", "cached", "text", None, "short"),
    "Generate_content_cached_input_token_count_gemini_3_pro_short_image":
        Charge("gemini-3-pro", "cached", "image", None, "short"),
    f"{GC_} image output {TOKENS} for Gemini 3 Pro Image":
        Charge("gemini-3-pro-image", "output", "image", "standard"),
    f"{GC_} image output {TOKENS} for Gemini 2.5 Flash Native Image Generation":
        Charge("gemini-2.5-flash-image", "output", "image", "standard"),
    f"{GC_} image output {TOKENS} for Gemini 3.1 Flash Lite Image":
        Charge("gemini-3.1-flash-lite-image", "output", "image", "standard"),
    f"{GC_} audio input {TOKENS} for Gemini 3.5 Live Translate":
        Charge("gemini-3.5-live-translate", "input", "audio", "standard"),
    f"GenerateContent audio input {TOKENS} for Gemini 2.0 Flash":
        Charge("gemini-2.0-flash", "input", "audio", "standard"),
    f"BidiGenerateContent audio input {TOKENS} for Gemini 2.5 Flash Native Audio":
        Charge("gemini-2.5-flash-native-audio", "input", "audio", "standard"),
    f"Bidi_generate_content text input {TOKENS} for gemini-3.8-live":
        Charge("gemini-3.8-live", "input", "text", "standard"),
    f"EmbedContent input {TOKENS} for gemini-embedding-001":
        Charge("gemini-embedding", "input", None, "standard"),
    f"EmbedContent input {TOKENS} for gemini-embedding-2 text":
        Charge("gemini-embedding-2", "input", "text", "standard"),
    f"{GC} cached content storage token hours gemini 3.8 flash": Charge("gemini-3.8-flash", "storage"),
    f"{GC_} cached text storage token hours for gemini 3 flash": Charge("gemini-3-flash", "storage"),
    f"{GC} search query gemini 3 paid one": Charge("gemini-3", "search"),
    f"{GC} search query gemini 3 free": Charge("gemini-3", "search"),
    f"{GC} search query gemini 2.5 paid one": Charge("gemini-2.5", "search"),
    "Grounding with Google Search on Gemini 3": Charge("gemini-3", "search"),
    "Grounding with Google Maps on Gemini 3": Charge("gemini-3", "maps"),
    "Imagen 4 fast Generation (output)": Charge("imagen-4.0-fast-generate", "image_each"),
    "Imagen 4 Generation": Charge("imagen-4.0-generate", "image_each"),
}  # fmt: skip

UNKNOWN = [
    "",
    "Cloud Storage Standard Class A Operations",
    "Generate content input token count",
    # not in the catalogue, or only like something that is
    "Generate content input token count gemini 9 ultra text",
    "Generate content input token count gemini 2.5 flash ultra text",
    "Generate content cached content storage token hours gemini 9",
    "Generate content cached content storage token hours",
    # `image` is the modality or part of the model
    "Generate content input token count gemini 3.1 flash lite image",
    "Generate content input token count gemini 3.8 flash text image",
    "Generate content input token count gemini 3.8 flash text flex batch",
    "Generate content input token count gemini 3.8 flash text spot",
    "Generate content cached output token count gemini 3.8 flash text",
    # Vertex AI's, and those that name no one model
    "Gemini 3.5 Flash Global Text Input - Predictions",
    "Veo Generation 720p with Audio",
    "Number of videos generated",
    "Generate content search query gemini 4 paid",
    "Grounding with Google Search",
]


@cases(("description", "charge"), CASES.items(), ids=CASES.keys())
def test_a_sku_is_read(description: str, charge: Charge) -> None:
    assert sku_charge(description, FAMILIES) == charge
    assert sku_charge(f"  {description.upper()} ", FAMILIES) == charge


@cases("description", UNKNOWN)
def test_what_is_not_known_for_sure_is_unknown(description: str) -> None:
    assert sku_charge(description, FAMILIES) is None


WORDS = " ".join(CASES).replace("_", " ").split()


@given(description=st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join))
def test_any_words_are_read_or_unknown(description: str) -> None:
    charge = sku_charge(description, FAMILIES)
    assert charge is None or charge.family in FAMILIES | {"gemini-2.5", "gemini-3"}


@cases(
    ("model", "family"),
    [
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash"),
        ("gemini-2.5-flash-preview-05-20", "gemini-2.5-flash"),
        ("gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("gemini-3.1-pro-preview", "gemini-3-pro"),
        ("gemini-2.5-flash-native-audio-preview-12-2025", "gemini-2.5-flash-native-audio"),
        ("imagen-4.0-fast-generate-001", "imagen-4.0-fast-generate"),
    ],
)
def test_a_model_without_its_version(model: str, family: str) -> None:
    assert model_family(model) == family
    assert families_of([model, "gemma-*"]) == {family}


@cases(
    ("component", "model", "prompt", "charge"),
    [
        ("input_text", "gemini-2.5-pro", 200_000, Charge("gemini-2.5-pro", "input", "text", "flex", "short")),
        ("output_text", "m", 200_001, Charge("m", "output", "text", "flex", "long")),
        ("cached_audio", "m", None, Charge("m", "cached", "audio", "flex", "short")),
        ("output_text_thinking", "m", 1, Charge("m", "output", "text", "flex", "short")),
        ("live_input_video", "m", 1, Charge("m", "input", "video", "flex", "short")),
        ("embedding_input_image", "m", 1, Charge("m", "input", "image", "flex", "short")),
        ("output_video_second_4k", "veo-2.0-x-001", 1, Charge("veo-2.0-x", "output_video_second_4k")),
        ("image_each", "imagen-4.0-generate-001", None, Charge("imagen-4.0-generate", "image_each")),
        ("cache_storage_token_hour", "gemini-3.8-flash", None, Charge("gemini-3.8-flash", "storage")),
        ("grounding_search_query", "gemini-3.8-flash", 1, Charge("gemini-3", "search")),
        ("grounding_search_request", "gemini-2.5-pro", 1, Charge("gemini-2.5", "search")),
        ("grounding_maps_query", "gemini-3.8-flash", 1, Charge("gemini-3", "maps")),
    ],
)  # fmt: skip
def test_a_component_on_the_bill(component: str, model: str, prompt: int | None, charge: Charge) -> None:
    assert component_charge(component, model, "flex", prompt) == charge


def test_what_a_sku_does_not_say_covers_everything() -> None:
    ours = Charge("m", "cached", "text", "flex", "short")
    assert all(
        Charge(*parts).covers(ours)
        for parts in [("m", "cached"), ("m", "cached", "text"), ("m", "cached", None, "flex"), tuple(ours)]
    )
    assert not any(
        Charge(*parts).covers(ours)
        for parts in [
            ("n", "cached"),
            ("m", "input"),
            ("m", "cached", "image"),
            ("m", "cached", "text", "x"),
            ("m", "cached", None, None, "long"),
        ]
    )
    assert [Charge("m", "cached").specific, ours.specific] == [2, 5]
