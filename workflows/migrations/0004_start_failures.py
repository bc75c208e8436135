
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("workflows", "0003_runs"),
    ]

    operations = [
        migrations.AddField(
            model_name="schedule",
            name="last_error",
            field=models.TextField(
                blank=True, editable=False, help_text="Why its last start failed; empty once one has gone well."
            ),
        ),
        migrations.AddField(
            model_name="webhook",
            name="last_error",
            field=models.TextField(
                blank=True, editable=False, help_text="Why its last start failed; empty once one has gone well."
            ),
        ),
    ]
