"""Fields of runs are named by the usual terms: segment, fencing token, crash count, memo.

Their columns keep their names, so that nothing is done in the database.
"""

from django.db import migrations, models

import workflows.models.run


class Migration(migrations.Migration):
    dependencies = [("workflows", "0006_identities")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameField("workflowrun", "leg", "segment"),
                migrations.AlterField(
                    "workflowrun", "segment", models.PositiveIntegerField(default=1, db_column="leg")
                ),
                migrations.RenameField("workflowrun", "claim", "fencing_token"),
                migrations.AlterField(
                    "workflowrun", "fencing_token", models.PositiveIntegerField(default=0, db_column="claim")
                ),
                migrations.RenameField("workflowrun", "deaths", "crash_count"),
                migrations.AlterField(
                    "workflowrun", "crash_count", models.PositiveSmallIntegerField(default=0, db_column="deaths")
                ),
                migrations.RenameField("stepattempt", "kept", "memo"),
                migrations.AlterField(
                    "stepattempt",
                    "memo",
                    workflows.models.run.ExactJSON(
                        null=True, db_column="kept", help_text="What has to be the same in each segment of the run."
                    ),
                ),
                migrations.AlterField(
                    "stepattempt",
                    "number",
                    models.PositiveIntegerField(
                        help_text="From 1, over all segments of the run; 0 for one that was skipped."
                    ),
                ),
            ]
        )
    ]
