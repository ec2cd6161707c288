"""The web process: `gunicorn t2vsite.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "t2vsite.settings")

application = get_wsgi_application()
