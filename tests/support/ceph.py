"""A Ceph of one machine, in memory, with its S3 gateway; as a program, the tests of the storage on it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.ports import free_port
from tests.support.rclone import KEY, SECRET

ADDRESS = "CEPH_S3_URL"
"""The variable by which tests/storage/conftest.py learns where the gateway is."""

# Seconds; a cluster takes some ten, on a busy machine more.
START_SECONDS = 120

# One copy of everything, in memory, and nobody to authenticate: it listens on loopback and ends with the tests.
CONFIGURATION = """
[global]
fsid = {fsid}
mon initial members = a
mon host = v1:127.0.0.1:{port}
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
crash dir = {folder}
mon data = {folder}/mon
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
mon pg warn min per osd = 0
mon max pg per osd = 1000
ms bind msgr2 = false
ms bind msgr1 = true
# As the tests want of every store: little is an upload of many parts.
rgw multipart min part size = 1
rgw frontends = beast endpoint=127.0.0.1:{s3_port}
rgw data = {folder}/rgw
"""


@contextmanager
def ceph() -> Iterator[str]:
    """Address of the gateway, which knows one user: that of the other stores of the tests."""
    with tempfile.TemporaryDirectory() as named, ExitStack() as running:
        folder, port = Path(named), free_port()
        s3_port = free_port()
        configuration = folder / "ceph.conf"
        fsid = str(uuid.uuid4())
        configuration.write_text(CONFIGURATION.format(fsid=fsid, port=port, s3_port=s3_port, folder=folder))
        at = ("-c", str(configuration))

        def run(*command: str) -> None:
            done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS)
            if done.returncode:
                raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")

        def start(*command: str) -> None:
            log = running.enter_context((folder / f"{command[0]}.out").open("wb"))
            process = subprocess.Popen([*command, "-f"], stdout=log, stderr=log)
            running.callback(process.wait, 30)
            running.callback(process.kill)

        for name in ("mon", "osd", "rgw"):
            (folder / name).mkdir()
        monmap = str(folder / "monmap")
        run("monmaptool", "--create", "--addv", "a", f"[v1:127.0.0.1:{port}]", "--fsid", fsid, monmap)
        run("ceph-mon", *at, "--mkfs", "-i", "a", "--monmap", monmap)
        start("ceph-mon", *at, "-i", "a")
        osd = str(uuid.uuid4())
        run("ceph", *at, "--connect-timeout", str(START_SECONDS), "osd", "new", osd)
        run("ceph-osd", *at, "-i", "0", "--mkfs", "--osd-uuid", osd)
        start("ceph-osd", *at, "-i", "0")
        start("radosgw", *at, "-n", "client.rgw.a")
        url = f"http://127.0.0.1:{s3_port}"
        _until_it_answers(url)
        user = ("--uid=tests", "--display-name=Tests", f"--access-key={KEY}", f"--secret-key={SECRET}")
        run("radosgw-admin", *at, "-n", "client.rgw.a", "user", "create", *user)
        yield url


def _until_it_answers(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with opener.open(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def main() -> int:
    """pytest over tests/storage, or over what the arguments say; its exit code."""
    if shutil.which("radosgw") is None:
        raise SystemExit("radosgw is not in PATH: scripts/install-ceph installs it")
    with ceph() as url:
        arguments = sys.argv[1:] or ["tests/storage"]
        return subprocess.call([sys.executable, "-m", "pytest", *arguments], env=os.environ | {ADDRESS: url})


if __name__ == "__main__":
    raise SystemExit(main())
