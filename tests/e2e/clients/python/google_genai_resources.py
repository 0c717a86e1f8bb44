"""Operations of google-genai on what outlives a call: batches, stores, webhooks, triggers, tuned models."""

import io

from driver import BASE, KEY, operation
from google import genai

client = genai.Client(api_key=KEY, http_options={"base_url": BASE})
FLASH = "gemini-2.5-flash"
EMBEDDING = "gemini-embedding-001"
POLLS = 9  # at most: the simulated Google is done after two
kept = {}


def done(read):
    """What `read` told each time, until it is done."""
    told = []
    for _ in range(POLLS):
        told.append(read())
        if told[-1].done:
            break
    return told


@operation
def create_batch():
    asked = [{"contents": "Tell me of bees"}, {"contents": "!400"}]
    kept["batch"] = client.batches.create(model=FLASH, src=asked, config={"display_name": "bees"})
    return kept["batch"]


@operation
def get_batch_until_it_is_done():
    return done(lambda: client.batches.get(name=kept["batch"].name))


@operation
def list_batches():
    return iter(client.batches.list(config={"page_size": 5}))


@operation
def create_batch_of_a_file():
    line = b'{"key": "one", "request": {"contents": [{"parts": [{"text": "Tell me of bees"}]}]}}\n'
    file = client.files.upload(file=io.BytesIO(line), config={"mime_type": "application/jsonl"})
    return client.batches.create(model=FLASH, src=file.name)


@operation
def cancel_batch():
    made = client.batches.create(model=FLASH, src=[{"contents": "Tell me of bees"}])
    client.batches.cancel(name=made.name)
    return client.batches.get(name=made.name)


@operation
def delete_batch():
    return client.batches.delete(name=kept["batch"].name)


@operation
def batch_of_embeddings():
    asked = {"inlined_requests": {"contents": ["three words here", "again"]}}
    made = client.batches.create_embeddings(model=EMBEDDING, src=asked)
    return done(lambda: client.batches.get(name=made.name))


@operation
def create_file_search_store():
    kept["store"] = client.file_search_stores.create(config={"display_name": "bees"}).name
    return client.file_search_stores.get(name=kept["store"])


@operation
def upload_to_file_search_store():
    return client.file_search_stores.upload_to_file_search_store(
        file_search_store_name=kept["store"],
        file=io.BytesIO("Zoë keeps bees.\n".encode() * 100),
        config={"mime_type": "text/plain", "display_name": "bees"},
    )


@operation
def import_file_and_its_operation():
    file = client.files.upload(file=io.BytesIO(b"bees"), config={"mime_type": "text/plain"})
    running = client.file_search_stores.import_file(file_search_store_name=kept["store"], file_name=file.name)
    return done(lambda: client.operations.get(running))


@operation
def list_file_search_stores():
    return iter(client.file_search_stores.list())


@operation
def list_documents():
    kept["documents"] = list(client.file_search_stores.documents.list(parent=kept["store"]))
    return kept["documents"]


@operation
def get_document():
    return client.file_search_stores.documents.get(name=kept["documents"][0].name)


@operation
def delete_document():
    return client.file_search_stores.documents.delete(name=kept["documents"][0].name)


@operation
def delete_file_search_store():
    return client.file_search_stores.delete(name=kept["store"], config={"force": True})


@operation
def generate_videos_and_their_operation():
    running = client.models.generate_videos(model="veo-3.1-generate-preview", prompt="Bees")
    return [running, *done(lambda: client.operations.get(running))]


@operation
def create_webhook():
    made = client.webhooks.create(subscribed_events=["batch.succeeded"], uri="https://bees.example/hook")
    kept["webhook"] = made.id
    return made


@operation
def get_webhook():
    return client.webhooks.get(kept["webhook"])


@operation
def list_webhooks():
    return client.webhooks.list()


@operation
def update_webhook():
    return client.webhooks.update(kept["webhook"], uri="https://bees.example/other")


@operation
def ping_webhook():
    return client.webhooks.ping(kept["webhook"])


@operation
def rotate_the_secret_of_a_webhook():
    return client.webhooks.rotate_signing_secret(kept["webhook"])


@operation
def delete_webhook():
    return client.webhooks.delete(kept["webhook"])


@operation
def create_trigger():
    asked = {"agent": "deep-research-preview-04-2026", "input": "Tell me of bees", "background": True}
    made = client.triggers.create(interaction=asked, schedule="0 9 * * *", time_zone="UTC")
    kept["trigger"] = made.id
    return made


@operation
def run_trigger():
    return client.triggers.run(kept["trigger"])


@operation
def list_executions_of_a_trigger():
    return client.triggers.list_executions(kept["trigger"])


@operation
def list_triggers():
    return client.triggers.list()


@operation
def delete_trigger():
    return client.triggers.delete(kept["trigger"])


@operation
def tune():
    examples = {"examples": [{"text_input": "bee", "output": "bees"}]}
    config = {"tuned_model_display_name": "bees", "epoch_count": 1}
    base = f"models/{FLASH}"
    kept["tuned"] = client.tunings.tune(base_model=base, training_dataset=examples, config=config)
    return kept["tuned"]


@operation
def get_tuned_model():
    return client.tunings.get(name=kept["tuned"].name)


@operation
def generate_with_tuned_model():
    return client.models.generate_content(model=kept["tuned"].name, contents="Tell me of bees")


@operation
def update_tuned_model():
    return client.models.update(model=kept["tuned"].name, config={"display_name": "other bees"})


@operation
def delete_tuned_model():
    return client.models.delete(model=kept["tuned"].name)
