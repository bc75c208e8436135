"""The workspace `default` with its environments, and the one row of access revisions."""

from django.db import migrations


def make(apps, schema_editor):
    workspace, _ = apps.get_model("governance", "Workspace").objects.get_or_create(
        pk="default", defaults={"name": "Default", "slug": "default"}
    )
    environments = apps.get_model("governance", "Environment").objects
    for name in ("dev", "test", "prod"):
        environments.get_or_create(workspace=workspace, name=name)
    apps.get_model("governance", "AccessRevision").objects.get_or_create(pk=1)


class Migration(migrations.Migration):
    dependencies = [("governance", "0001_initial")]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
