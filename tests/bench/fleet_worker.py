"""A worker that says, when it is told to stop, what it used: JSON on standard output. `python -m …`."""

import json
import resource
import sys
from collections import Counter
from typing import Any

import uvloop

from app.storage import s3
from workers.worker import work

_requests: Counter[str] = Counter()
_open_client = s3._open_client


async def _counting(*arguments: Any) -> Any:
    client = await _open_client(*arguments)
    client.meta.events.register("before-send.s3", lambda event_name, **_: _requests.update([event_name]))
    return client


if __name__ == "__main__":
    setattr(s3, "_open_client", _counting)  # noqa: B010
    uvloop.run(work())
    used = resource.getrusage(resource.RUSAGE_SELF)
    json.dump(
        {
            "processor": used.ru_utime + used.ru_stime,
            "memory": used.ru_maxrss / 1024,
            "requests": {name.rsplit(".", 1)[-1]: number for name, number in _requests.items()},
        },
        sys.stdout,
    )
