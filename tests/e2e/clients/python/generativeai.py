"""google-generativeai, Google's first SDK, over REST."""

from driver import BASE, KEY, operation, run

# recipe
import google.generativeai as genai

genai.configure(api_key=KEY, transport="rest", client_options={"api_endpoint": BASE})
# end of recipe

flash = genai.GenerativeModel("gemini-2.5-flash")


@operation
def generate():
    return flash.generate_content("Tell me of bees").to_dict()


@operation
def stream():
    return (chunk.to_dict() for chunk in flash.generate_content("Tell me of bees", stream=True))


@operation
def chat():
    chat = flash.start_chat()
    chat.send_message("My name is Zoë")
    return chat.send_message("Who am I?").to_dict()


@operation
def count_tokens():
    return flash.count_tokens("Say hello").total_tokens


@operation
def embed():
    return genai.embed_content(model="models/gemini-embedding-001", content="three words here")


@operation
def embed_many():
    return genai.embed_content(model="models/gemini-embedding-001", content=["three words here", "again"])


@operation
def list_models():
    return iter([str(model) for model in genai.list_models(page_size=9)])


@operation
def get_model():
    return str(genai.get_model("models/gemini-2.5-flash"))


@operation
def list_files():
    return [file.name for file in genai.list_files()]


@operation
def error_400():
    return flash.generate_content("!400").to_dict()


@operation
def error_404():
    return genai.GenerativeModel("bard-1").generate_content("Say hello").to_dict()


run()
