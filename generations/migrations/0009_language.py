from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("generations", "0008_manners_and_styles")]

    operations = [
        migrations.AddField(
            "requester", "language", models.CharField(blank=True, default="", editable=False, max_length=16), preserve_default=False
        ),
    ]
