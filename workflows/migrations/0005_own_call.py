from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("workflows", "0004_start_failures")]

    operations = [
        migrations.AddField(
            model_name="workflowrun",
            name="own_call",
            field=models.BooleanField(
                default=False,
                help_text="It has a key or an address of its own, which only the process where it began knows.",
            ),
        ),
    ]
