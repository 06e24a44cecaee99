"""Print the service's OpenAPI document, from which the panel's types are made."""

import json
import sys

from app.main import create_app
from app.settings import Settings

json.dump(create_app(Settings(_env_file=None)).openapi(), sys.stdout, ensure_ascii=False)
