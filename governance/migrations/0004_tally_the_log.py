from django.db import migrations

from governance.runs import rollups


def tally(apps, schema_editor):
    """Count what is in the log already."""
    ended = apps.get_model("governance", "Run").objects.exclude(status="running").order_by("created_at")
    waiting = []
    for run in ended.iterator(chunk_size=2000):
        waiting.append(run)
        if len(waiting) == 2000:
            rollups.add(waiting)
            waiting = []
    rollups.add(waiting)


class Migration(migrations.Migration):
    dependencies = [("governance", "0003_run_tallies")]
    operations = [migrations.RunPython(tally, migrations.RunPython.noop)]
