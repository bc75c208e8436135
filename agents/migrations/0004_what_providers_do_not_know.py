from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('agents', '0003_agents_at_work'),
    ]

    operations = [
        migrations.AddField(
            model_name='modelprovider',
            name='unsupported',
            field=models.JSONField(blank=True, default=list, help_text='What it does not know of what calls carry, such as stream_options: it is not sent.'),
        ),
    ]
