from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("generations", "0010_groups_and_asked_prompts")]

    operations = [
        migrations.AddField(
            "requester", "language", models.CharField(blank=True, default="", editable=False, max_length=16), preserve_default=False
        ),
    ]
