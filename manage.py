#!/usr/bin/env python
"""Django's command line: `manage.py up`, `runbot`, `rqworker`, `generate` and the rest."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "t2vsite.settings")
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        # A wrong variable is the operator's everyday mistake: one line that names it, not a traceback.
        sys.exit(f"{sys.argv[0]}: {error}")


if __name__ == "__main__":
    main()
