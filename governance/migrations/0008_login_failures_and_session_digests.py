import hashlib

from django.db import migrations, models

#: As governance.identity.credentials.admin_sessions has it.
LENGTH = 40

#: What django-axes kept: names, addresses and browsers of people who logged in. Nothing reads it any more.
FORMER = ("axes_accessattemptexpiration", "axes_accessattempt", "axes_accessfailurelog", "axes_accesslog")


def keep_digests(apps, schema_editor):
    """Nobody is logged out: their cookie has the key, and the row from here on what the key is found by."""
    Session = apps.get_model("sessions", "Session")
    for key in list(Session.objects.values_list("session_key", flat=True)):
        digest = hashlib.sha256(key.encode()).hexdigest()[:LENGTH]
        Session.objects.filter(session_key=key).update(session_key=digest)


def end_sessions(apps, schema_editor):
    """Keys can't be made of digests: who goes back logs in anew."""
    apps.get_model("sessions", "Session").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [
        ("governance", "0007_who_it_was"),
        ("sessions", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="LoginFailures",
            fields=[
                ("digest", models.CharField(editable=False, max_length=64, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("name_at", "A name from an address"),
                            ("address", "Names from an address"),
                            ("name", "A name from everywhere"),
                            ("all", "Names in all"),
                            ("tokens", "Tokens from an address"),
                            ("all_tokens", "Tokens in all"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "username",
                    models.CharField(
                        blank=True,
                        help_text="Empty also where nobody has that name: it may be a mistyped password.",
                        max_length=150,
                    ),
                ),
                ("address", models.CharField(blank=True, max_length=64)),
                ("failures", models.PositiveIntegerField(default=0)),
                ("started_at", models.DateTimeField()),
                ("forgotten_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "failed logins",
                "verbose_name_plural": "failed logins",
                "ordering": ["-forgotten_at", "digest"],
                "indexes": [models.Index(fields=["forgotten_at"], name="login_failures_forgotten")],
            },
        ),
        migrations.RunPython(keep_digests, end_sessions),
        *(migrations.RunSQL(f"DROP TABLE IF EXISTS {table}", migrations.RunSQL.noop) for table in FORMER),
        migrations.RunSQL("DELETE FROM django_migrations WHERE app = 'axes'", migrations.RunSQL.noop),
    ]
