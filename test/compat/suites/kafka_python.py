"""kafka-python's integration tests, from its source package.

An independent codec in pure Python: the admin calls, four compression codecs, groups, transactions. The
source package lacks two files of its test folder, which `build` puts there.
"""

import os
import subprocess
import sys

from harness import install, lists
from harness.install import TARGET, call, log_of

# The newest release that this version of the suite knows.
KAFKA_VERSION = "4.3.0"
TOOLS = "pytest<10 pytest-mock pytest-timeout crc32c lz4 python-snappy zstandard setuptools".split()
# These need listeners of their own (TLS, SASL) that an external node does not have.
LEFT_OUT = ["test/integration/test_ssl_integration.py", "test/integration/test_sasl_integration.py"]
# The client loses topics that it subscribes to while it asks for metadata the first time: it takes the
# answer to the old question for one to the new, and asks again after five minutes only. Whether a test is
# hit hangs on a millisecond, on any broker; what is edited is the client, which is to ask again.
RACE = [
    (r"request = self\.metadata_request\(\)\n", "asked, request = set(self._topics), self.metadata_request()\n"),
    (
        r"( +)self\.update_metadata\(response\)\n\n",
        r"\1self.update_metadata(response)\n\1if self._topics != asked:\n\1    self.request_update()\n\n",
    ),
]
# A consumer whose JoinGroup and SyncGroup are answered between two of its polls throws the answers away and joins
# anew; if it leads, the group begins from the start. Seen on Kafka, too. What is edited takes the answers that are there.
JOINED = (r"if self\._join_task is None or self\._join_task\.is_done:", "if self._join_task is None:")
STAND_IN = '''"""Stand-in for a file that the source package lacks: for a running broker only its external half is needed."""


class ExternalService:
    def __init__(self, host, port):
        self.host, self.port = host, port

    def open(self):
        pass

    close = start = stop = dump_logs = open


class SpawnedService:
    def __init__(self, *a, **k):
        raise RuntimeError("only an external broker is possible here")
'''


def build():
    """The folder with the unpacked sources in `src` and an environment in `env`."""

    def make(folder):
        call([sys.executable, "-m", "venv", folder / "env"], log_of("kafka-python-venv"))
        pip = [folder / "env" / "bin" / "python", "-m", "pip", "-q", "--disable-pip-version-check"]
        call([*pip, "install", *TOOLS], log_of("kafka-python-tools"))
        version = install.KAFKA_PYTHON
        download = ["download", "--no-deps", "--no-binary", ":all:", "-d", folder, f"kafka-python=={version}"]
        call([*pip, *download], log_of("kafka-python-download"))
        (folder / "src").mkdir()
        archive = folder / f"kafka_python-{version}.tar.gz"
        call(
            ["tar", "xzf", archive, "--strip-components=1", "-C", folder / "src"],
            log_of("kafka-python-unpack"),
        )
        cluster = folder / "src" / "kafka" / "cluster.py"
        for pattern, replacement in RACE:
            install.edit(cluster, pattern, replacement)
        install.edit(folder / "src" / "kafka" / "coordinator" / "base.py", *JOINED)
        call([*pip, "install", folder / "src"], log_of("kafka-python-install"))
        # without it Python's own package `test` is found first
        (folder / "src" / "test" / "__init__.py").touch()
        service = folder / "src" / "test" / "service.py"
        if not service.exists():
            service.write_text(STAND_IN)

    return install.once(TARGET / "kafka-python", f"{install.KAFKA_PYTHON} {RACE} {JOINED}", make)


def run(report, node, work, quick):
    """Runs the suite and judges it by the frozen list."""
    folder = build()
    excused = {} if node.kind == "kafka" else lists.later("kafka-python")
    wanted = lists.frozen("kafka-python")
    if quick:
        wanted = [name for name in wanted if name not in excused]
    log = work / "run.log"
    # a per-test limit by signal: else one hang ends the whole run
    options = "-q --timeout 60 --timeout-method=signal -W ignore -p no:cacheprovider --color=no -rA --show-capture=no"
    command = [folder / "env" / "bin" / "python", "-m", "pytest", *options.split(), "test/integration"]
    for name in LEFT_OUT + (list(excused) if quick else []):
        command += ["--deselect", name]
    environment = dict(
        os.environ, KAFKA_ROOT=".", KAFKA_VERSION=KAFKA_VERSION, KAFKA_URI=f"kafka://{node.bootstrap}"
    )
    with open(log, "wb") as out:
        subprocess.run(
            ["timeout", "600", *command],
            cwd=folder / "src",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    found = {}
    for line in log.read_text(errors="replace").splitlines():
        verdict, _, rest = line.partition(" ")
        if verdict in ("PASSED", "FAILED", "ERROR"):
            found.setdefault(rest if verdict == "PASSED" else rest.split(" - ")[0], f"{verdict} {rest}")
    passed = {name for name, line in found.items() if line.startswith("PASSED")}
    detail = lambda name: f"{found.get(name, 'no verdict')[:200]}; {log}"
    lists.judge(report, "kafka-python", wanted, passed, excused, detail)
