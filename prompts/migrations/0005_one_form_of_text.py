"""Prompts are found whatever form their accents are encoded in: what is compared is kept beside what came."""

import unicodedata

from django.db import migrations, models

BATCH = 500


def folded(text):
    """As prompts.searching folds when this migration was written."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def composed(text):
    return unicodedata.normalize("NFC", text)


def fill(apps, schema_editor):
    """Only what is not in that form already is written: most of it is."""
    for model, came, form in (("PromptTag", "name", "form"), ("Prompt", "category", "category_form")):
        rows = apps.get_model("prompts", model).objects
        rows.update(**{form: models.F(came)})
        for key, text in rows.order_by().exclude(**{came: ""}).values_list("pk", came).iterator(BATCH):
            if composed(text) != text:
                rows.filter(pk=key).update(**{form: composed(text)})
    texts = apps.get_model("prompts", "PromptText").objects
    for key in list(texts.order_by().values_list("pk", flat=True)):
        row = texts.get(pk=key)
        text, tags = folded(row.text), folded(row.tags)
        if (text, tags) != (row.text, row.tags):
            texts.filter(pk=key).update(text=text, tags=tags)
    if schema_editor.connection.vendor == "postgresql":
        # What checks the rows' foreign keys waits for the end, and the indexes of the new columns are made before it.
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        schema_editor.execute("SET CONSTRAINTS ALL DEFERRED")


class Migration(migrations.Migration):
    dependencies = [("prompts", "0004_found_by_text")]

    operations = [
        migrations.AlterField(
            model_name="promptversion",
            name="number",
            field=models.PositiveIntegerField(help_text="1 for the first, and so on."),
        ),
        migrations.AddField(
            model_name="prompttag",
            name="form",
            field=models.CharField(
                db_index=True, default="", editable=False, help_text="The name, to be found by.", max_length=300
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="prompt",
            name="category_form",
            field=models.CharField(blank=True, db_index=True, default="", editable=False, max_length=300),
            preserve_default=False,
        ),
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
    ]
