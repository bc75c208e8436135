"""Conversations belong to a token by its id and no longer by its name.

Those of API tokens get the token of that name in the agent's workspace, if there is only one and it is older than they
are. Others keep an owner that matches no actor, until they are deleted for their age.
"""

from django.db import migrations, models


def give_conversations_to_their_owners(apps, schema_editor):
    sessions = apps.get_model("agents", "AgentSession").objects
    sessions.filter(owner__startswith="static:").update(owner="static")
    sessions.filter(owner__startswith="system:").update(owner="system")
    tokens = list(apps.get_model("governance", "Token").objects.filter(kind="api"))
    places = [(token.workspace_id, token.name) for token in tokens]
    for token in tokens:
        if places.count((token.workspace_id, token.name)) == 1:
            theirs = sessions.filter(
                owner=f"api:{token.name}", agent__workspace_id=token.workspace_id, created_at__gte=token.created_at
            )
            sessions.filter(pk__in=list(theirs.values_list("pk", flat=True))).update(owner=f"token:{token.pk}")


class Migration(migrations.Migration):
    dependencies = [
        ("agents", "0004_what_providers_do_not_know"),
        ("governance", "0006_audit_by_what_is_rare"),
    ]
    operations = [
        migrations.AddField(
            model_name="agent",
            name="confined",
            field=models.BooleanField(
                default=False,
                editable=False,
                help_text="Saved last by a token of its environment alone: what it calls sees no other environment.",
            ),
        ),
        migrations.RunPython(give_conversations_to_their_owners, migrations.RunPython.noop),
    ]
