"""Where hypothesis keeps what it needs."""

import tempfile
from pathlib import Path

from hypothesis.configuration import set_hypothesis_home_dir

# Its folder would stand in the checkout, where pytest warns of it.
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis")
