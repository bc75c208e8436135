"""Runs of workflows, and their Idempotency-Keys, belong to an actor by kind and id, and no longer by name."""

from django.db import migrations, models


def _identity(bounds):
    if bounds["user_id"]:
        return f"user:{bounds['user_id']}"
    return f"token:{bounds['token_id']}" if bounds["token_id"] else bounds["kind"]


def give_runs_to_their_owners(apps, schema_editor):
    runs = apps.get_model("workflows", "WorkflowRun").objects
    waiting = []
    for run in runs.only("id", "bounds", "actor_identity").order_by().iterator(chunk_size=2000):
        run.actor_identity = _identity(run.bounds)
        waiting.append(run)
        if len(waiting) == 500:
            runs.bulk_update(waiting, ["actor_identity"])
            waiting = []
    runs.bulk_update(waiting, ["actor_identity"])
    # Somebody who was renamed may have used one key under both names: the later run keeps it.
    taken = set()
    for run in runs.exclude(idempotency_key="").order_by("-created_at", "-id").iterator(chunk_size=2000):
        key = (run.workflow_id, run.actor_identity, run.idempotency_key)
        if key in taken:
            runs.filter(pk=run.pk).update(idempotency_key="")
        taken.add(key)


class Migration(migrations.Migration):
    dependencies = [("workflows", "0005_own_call")]
    operations = [
        migrations.AddField(
            model_name="workflowrun",
            name="actor_identity",
            field=models.CharField(blank=True, default="", help_text="The identity of who it is of.", max_length=50),
            preserve_default=False,
        ),
        migrations.RunPython(give_runs_to_their_owners, migrations.RunPython.noop),
        migrations.RemoveConstraint(model_name="workflowrun", name="wfrun_idempotency_key_unique"),
        migrations.AddConstraint(
            model_name="workflowrun",
            constraint=models.UniqueConstraint(
                condition=models.Q(("idempotency_key", ""), _negated=True),
                fields=("workflow_id", "actor_identity", "idempotency_key"),
                name="wfrun_idempotency_key_once",
            ),
        ),
    ]
