"""What the operators' console asks a million rows for: indexes, made beside the running service where PostgreSQL can."""

import logging

from django.db import DatabaseError, migrations, models

logger = logging.getLogger(__name__)

# As Django writes icontains, so that it is found for it.
TRIGRAMS = """
    CREATE INDEX CONCURRENTLY generation_prompt_words ON generations_generation
    USING gin (UPPER(prompt::text) gin_trgm_ops)
"""


class AddIndexQuietly(migrations.AddIndex):
    """AddIndex that locks nobody out on PostgreSQL. Not in a transaction."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor != 'postgresql':
            return super().database_forwards(app_label, schema_editor, from_state, to_state)
        model = to_state.apps.get_model(app_label, self.model_name)
        # What is left of an earlier try that was interrupted.
        schema_editor.execute(f'DROP INDEX IF EXISTS {self.index.name}')
        schema_editor.add_index(model, self.index, concurrently=True)


def add_trigrams(apps, schema_editor):
    """Words inside prompts. Without the extension the search still works, and looks at every row."""
    if schema_editor.connection.vendor != 'postgresql':
        return
    try:
        schema_editor.execute('CREATE EXTENSION IF NOT EXISTS pg_trgm')
    except DatabaseError as error:
        logger.warning('No index for words in prompts: %s', str(error).strip())
        return
    schema_editor.execute('DROP INDEX IF EXISTS generation_prompt_words')
    schema_editor.execute(TRIGRAMS)


def remove_trigrams(apps, schema_editor):
    # The extension stays: others may use it.
    if schema_editor.connection.vendor == 'postgresql':
        schema_editor.execute('DROP INDEX IF EXISTS generation_prompt_words')


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('generations', '0013_host'),
    ]

    operations = [
        AddIndexQuietly(
            model_name='generation',
            index=models.Index(fields=['preset', '-id'], name='generation_by_preset'),
        ),
        AddIndexQuietly(
            model_name='generation',
            index=models.Index(fields=['host', '-id'], name='generation_by_host'),
        ),
        AddIndexQuietly(
            model_name='generation',
            index=models.Index(fields=['finished_at'], name='generation_finished'),
        ),
        AddIndexQuietly(
            model_name='generationevent',
            index=models.Index(condition=models.Q(('kind', 'reported')), fields=['generation'], name='event_report'),
        ),
        migrations.RunPython(add_trigrams, remove_trigrams),
    ]
