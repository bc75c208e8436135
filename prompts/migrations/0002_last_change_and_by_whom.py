from django.db import migrations, models


def ask_the_audit_log(apps, schema_editor):
    """Who changed each prompt last is known to the audit log."""
    entries = apps.get_model("governance", "AuditEntry").objects.filter(resource="prompt")
    last = dict(entries.order_by("created_at", "id").values_list("resource_id", "actor").iterator(chunk_size=5000))
    prompts = apps.get_model("prompts", "Prompt").objects
    waiting = []
    for prompt in prompts.only("pk").iterator(chunk_size=2000):
        prompt.changed_by = last.get(str(prompt.pk), "")
        waiting.append(prompt)
        if len(waiting) == 2000:
            prompts.bulk_update(waiting, ["changed_by"], batch_size=500)
            waiting = []
    prompts.bulk_update(waiting, ["changed_by"], batch_size=500)


class Migration(migrations.Migration):
    dependencies = [
        ("governance", "0005_log_counts"),
        ("prompts", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="prompt",
            name="changed_by",
            field=models.CharField(blank=True, editable=False, help_text="Who saved or published last.", max_length=200),
        ),
        migrations.AddIndex(
            model_name="prompt",
            index=models.Index(fields=["-updated_at", "-id"], name="prompt_last_changed"),
        ),
        migrations.AddIndex(
            model_name="promptversion",
            index=models.Index(fields=["-created_at", "-id"], name="version_newest"),
        ),
        migrations.RunPython(ask_the_audit_log, migrations.RunPython.noop, elidable=True),
    ]
