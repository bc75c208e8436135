"""Runs, feedback and audit entries name their actor by kind and id, and no longer by name alone.

Runs that are in the log already get no owner, since nothing was stored that would tell it. Feedback gets the user or the
token of its name where only one fits; other feedback stays, and can't be changed by anybody. Existing audit entries are
left as they are, and from here on the database refuses to change them.
"""

from django.db import migrations, models
from django.db.models import F, Value
from django.db.models.functions import Concat

from governance.core import append_only


def give_feedback_to_its_owners(apps, schema_editor):
    feedback = apps.get_model("governance", "RunFeedback").objects
    feedback.update(actor_identity=Concat(Value("name:"), F("actor")))
    feedback.filter(actor="static token").update(actor_identity="static")
    feedback.filter(actor="system").update(actor_identity="system")
    for user in apps.get_model("governance", "User").objects.iterator():
        theirs = feedback.filter(actor=user.username, created_at__gte=user.created_at)
        theirs.update(actor_identity=f"user:{user.pk}")
    tokens = list(apps.get_model("governance", "Token").objects.filter(kind="api"))
    places = [(token.workspace_id, token.name) for token in tokens]
    for token in tokens:
        if places.count((token.workspace_id, token.name)) == 1:
            theirs = feedback.filter(
                actor=f"token {token.name}", run__workspace_id=token.workspace_id, created_at__gte=token.created_at
            )
            feedback.filter(pk__in=list(theirs.values_list("pk", flat=True))).update(
                actor_identity=f"token:{token.pk}"
            )
    if schema_editor.connection.vendor == "postgresql":
        # Rows that were changed twice have checks of their foreign keys to come, before which no table is altered.
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        schema_editor.execute("SET CONSTRAINTS ALL DEFERRED")


def install(apps, schema_editor):
    append_only.install(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("governance", "0006_audit_by_what_is_rare")]
    operations = [
        migrations.AddField(
            model_name="auditentry",
            name="actor_id",
            field=models.CharField(blank=True, default="", help_text="The id of the user or of the API token.", max_length=36),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="auditentry",
            name="actor_kind",
            field=models.CharField(
                blank=True, default="", help_text="How they came in, such as session or api.", max_length=10
            ),
            preserve_default=False,
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(
                condition=models.Q(("actor_id", ""), _negated=True),
                fields=["actor_id", "-created_at", "-id"],
                name="audit_actor_id_newest_first",
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="actor_identity",
            field=models.CharField(
                blank=True, default="", help_text="The identity of who started it.", max_length=50
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="runfeedback",
            name="actor_identity",
            field=models.CharField(default="", help_text="The identity of who said it.", max_length=250),
            preserve_default=False,
        ),
        migrations.RunPython(give_feedback_to_its_owners, migrations.RunPython.noop),
        migrations.RemoveConstraint(model_name="runfeedback", name="feedback_once"),
        migrations.AddConstraint(
            model_name="runfeedback",
            constraint=models.UniqueConstraint(fields=("run", "actor_identity"), name="feedback_once_each"),
        ),
        migrations.RunPython(install, migrations.RunPython.noop),
    ]
