import logging

import django.db.models.deletion
from django.db import DatabaseError, migrations, models, transaction

BATCH = 500
#: SQLite's full-text index, of trigrams, kept by triggers. A later migration that has Django make this table anew has to
#: make the triggers again, since they go with the old one.
FTS5 = [
    "CREATE VIRTUAL TABLE prompts_prompttext_index USING fts5("
    "text, tags, content='prompts_prompttext', content_rowid='id', tokenize='trigram case_sensitive 1')",
    "CREATE TRIGGER prompts_prompttext_insert AFTER INSERT ON prompts_prompttext BEGIN "
    "INSERT INTO prompts_prompttext_index(rowid, text, tags) VALUES (new.id, new.text, new.tags); END",
    "CREATE TRIGGER prompts_prompttext_delete AFTER DELETE ON prompts_prompttext BEGIN "
    "INSERT INTO prompts_prompttext_index(prompts_prompttext_index, rowid, text, tags) VALUES ('delete', old.id, old.text, old.tags); "
    "END",
    "CREATE TRIGGER prompts_prompttext_update AFTER UPDATE ON prompts_prompttext BEGIN "
    "INSERT INTO prompts_prompttext_index(prompts_prompttext_index, rowid, text, tags) VALUES ('delete', old.id, old.text, old.tags); "
    "INSERT INTO prompts_prompttext_index(rowid, text, tags) VALUES (new.id, new.text, new.tags); END",
]
PG_TRGM = [
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX prompt_text_trigrams ON prompts_prompttext USING gin (text gin_trgm_ops, tags gin_trgm_ops)",
]


def index(apps, schema_editor):
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            for statement in FTS5:
                cursor.execute(statement)
            return
        # An administrator may have to allow the extension, or nobody has it: the search works without, more slowly.
        try:
            with transaction.atomic(connection.alias):
                for statement in PG_TRGM:
                    cursor.execute(statement)
        except DatabaseError as error:
            logging.getLogger("promptops").warning(
                "the search in prompts has no index, and reads all of them: %s (docs/configuration.md)", error
            )


def unindex(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        if schema_editor.connection.vendor == "sqlite":
            for trigger in ("insert", "delete", "update"):
                cursor.execute(f"DROP TRIGGER prompts_prompttext_{trigger}")
            cursor.execute("DROP TABLE prompts_prompttext_index")
        else:
            cursor.execute("DROP INDEX IF EXISTS prompt_text_trigrams")


def fill(apps, schema_editor):
    """What the prompts that are there already are found by."""
    texts, waiting = apps.get_model("prompts", "PromptText").objects, []
    for prompt in apps.get_model("prompts", "Prompt").objects.order_by().prefetch_related("tags").iterator(BATCH):
        tags = "\n".join(tag.name for tag in prompt.tags.all())
        text = "\n".join((prompt.key, prompt.name, prompt.content))
        waiting.append(texts.model(prompt=prompt, text=text.casefold(), tags=tags.casefold()))
        if len(waiting) == BATCH:
            texts.bulk_create(waiting)
            waiting = []
    texts.bulk_create(waiting)


class Migration(migrations.Migration):

    dependencies = [("prompts", "0003_state_of_a_prompt")]

    operations = [
        migrations.CreateModel(
            name="PromptText",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("text", models.TextField()),
                ("tags", models.TextField(blank=True)),
                (
                    "prompt",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="prompts.prompt"
                    ),
                ),
            ],
        ),
        migrations.RunPython(index, unindex),
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
    ]
