"""Everything foreign that the batteries use, fetched by the ordinary package clients.

One function a thing; each returns where the thing lies. Installed once into `target/compat`: a folder is
complete when its stamp holds the key of what it was made from (a pin, or the text of the sources), so a
second call costs nothing and a changed pin installs anew. One installation at a time, also across processes:
a file lock keeps them apart. Nothing here knows a registry's address: pip,
npm, go, cargo, Maven and apt are used as the machine has them set up.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
TARGET = ROOT / "target" / "compat"

KAFKA = "4.4.0"
# kafka-tools and kafka-shell are not published for 4.4.0; one folder must never mix two releases.
TOOLS = "4.3.1"
# The newest of each line of 4.x before those: nodes that write, nothing else.
OLDER = ("4.0.2", "4.1.2", "4.2.2")
LOG4J = "2.25.5"
LIBRDKAFKA_CRATE = "4.10.0+2.12.1"
RDKAFKA_CRATE = "0.39.0"
RSKAFKA_CRATE = "0.6.0"
FRANZ_GO = "v1.22.2"
KAFKA_PYTHON = "3.0.12"

# Seconds between two tries.
PAUSES = (5, 30)


class InstallError(Exception):
    """A package client failed; the message holds the end of what it printed."""


def call(command, log, cwd=None, env=None):
    """Runs `command`, everything it prints to the file `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as out:
        code = subprocess.run(
            [str(c) for c in command],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        ).returncode
    if code != 0:
        tail = log.read_text(errors="replace").splitlines()[-15:]
        raise InstallError(f"{' '.join(str(c) for c in command)}: exit {code}; {log}:\n" + "\n".join(tail))


@contextmanager
def alone():
    """Holds the lock of installations."""
    TARGET.mkdir(parents=True, exist_ok=True)
    with open(TARGET / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def once(folder, key, make):
    """Calls `make(folder)` on an empty folder unless its stamp says that it was made for `key`."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    stamp = folder / ".installed"
    complete = lambda: stamp.exists() and stamp.read_text() == digest
    if complete():
        return folder
    with alone():
        if not complete():
            print(f"installing {folder.name}", file=sys.stderr, flush=True)
            patiently(folder, make)
            stamp.write_text(digest)
    return folder


def patiently(folder, make, pauses=PAUSES):
    """Calls `make(folder)` on an empty folder, after each of the pauses once more: who serves packages stumbles."""
    for pause in (*pauses, None):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            return make(folder)
        except InstallError as error:
            if pause is None:
                raise
            print(f"{folder.name}, again in {pause} s: {error}", file=sys.stderr, flush=True)
            time.sleep(pause)


def edit(path, pattern, replacement):
    """Edits a file of somebody's sources; they may have become others, and the edit would do nothing."""
    text, count = re.subn(pattern, replacement, path.read_text())
    if count == 0:
        raise InstallError(f"{path}: nothing to edit matches {pattern}")
    path.write_text(text)


def log_of(name):
    return TARGET / "install-logs" / f"{name}.log"


def debian(packages, present):
    """Debian packages, unless `present()` finds them: they live outside `target`, so no stamp is kept."""
    if present():
        return
    # under the lock of `once` when that calls it, else apt's own lock has to do
    print(f"installing {' '.join(packages)}", file=sys.stderr, flush=True)
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    call([*sudo, "apt-get", "update", "-qq"], log_of("apt-update"))
    call([*sudo, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], log_of("apt"))
    if not present():
        raise InstallError(f"{packages}: apt-get succeeded, but they cannot be used")


def jars(name, artifacts, more=lambda folder: None):
    """A folder `libs` with Maven artifacts (group:artifact:version) and all that they need at run time."""
    dependency = (
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"
    )
    pom = (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>dohle</groupId>'
        "<artifactId>compat</artifactId><version>1</version><dependencies>"
        + "".join(dependency.format(*a.split(":")) for a in artifacts)
        + "</dependencies></project>\n"
    )

    def make(folder):
        (folder / "pom.xml").write_text(pom)
        copy = ["mvn", "-q", "-B", "-f", folder / "pom.xml", "dependency:copy-dependencies"]
        call([*copy, "-DincludeScope=runtime", f"-DoutputDirectory={folder / 'libs'}"], log_of(name))
        more(folder)

    return once(TARGET / name, pom, make) / "libs"


def kafka(release=KAFKA):
    """Jars of Apache Kafka itself: the oracle's node and the Java client of the same release."""
    log4j = f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J}"
    return jars(f"kafka-{release}", [f"org.apache.kafka:kafka_2.13:{release}", log4j])


def kafka_tools():
    """Jars of Kafka's command-line tools, with the programs that some foreign suites call by path.

    Returns the folder that serves those suites as KAFKA_PATH: `libs/` and `bin/kafka-*.sh`.
    """
    mains = {
        "topics": "org.apache.kafka.tools.TopicCommand",
        "acls": "org.apache.kafka.tools.AclCommand",
        "configs": "kafka.admin.ConfigCommand",
        "groups": "org.apache.kafka.tools.GroupsCommand",
    }
    java = "exec java -XX:TieredStopAtLevel=1 -Xshare:auto -Xmx256m"

    def programs(folder):
        bin_, libs = folder / "bin", folder / "libs"
        bin_.mkdir()
        for name, main in mains.items():
            (bin_ / f"kafka-{name}.sh").write_text(f'#!/bin/sh\n{java} -cp "{libs}/*" {main} "$@"\n')
        (bin_ / "kafka-run-class.sh").write_text(
            f'#!/bin/sh\nc=$1; shift\n{java} -cp "$CLASSPATH:{libs}/*" "$c" "$@"\n'
        )
        for script in bin_.iterdir():
            script.chmod(0o755)

    artifacts = [f"org.apache.kafka:{name}:{TOOLS}" for name in ("kafka-tools", "kafka_2.13", "kafka-shell")]
    return jars(f"kafka-tools-{TOOLS}", artifacts, programs).parent


def python():
    """The interpreter of a virtual environment with the Python clients."""
    pins = (HERE / "clients" / "requirements.txt").read_text()

    def make(folder):
        call([sys.executable, "-m", "venv", folder], log_of("python-venv"))
        pip = [folder / "bin" / "python", "-m", "pip", "-q", "install", "--disable-pip-version-check"]
        call([*pip, "-r", HERE / "clients" / "requirements.txt"], log_of("python-clients"))

    return once(TARGET / "python", pins, make) / "bin" / "python"


def node_modules():
    """The folder from which the kafkajs driver resolves its packages."""
    manifest = (HERE / "clients" / "package.json").read_text()

    def make(folder):
        (folder / "package.json").write_text(manifest)
        call(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], log_of("node"), cwd=folder)

    return once(TARGET / "node", manifest, make) / "node_modules"


def franz_driver():
    """Our driver program for franz-go, built."""
    sources = sorted((HERE / "clients" / "franz").iterdir())

    def make(folder):
        for source in sources:
            shutil.copy(source, folder)
        call(["go", "build", "-o", "driver", "."], log_of("franz-driver"), cwd=folder)

    return once(TARGET / "franz", "".join(s.read_text() for s in sources), make) / "driver"


def java_driver():
    """Our driver program for the Java client, compiled; returns its class path."""
    libs = kafka()
    sources = sorted((HERE / "clients" / "java").glob("*.java"))

    def make(folder):
        call(["javac", "-cp", f"{libs}/*", "-d", folder, *sources], log_of("java-driver"))

    folder = once(TARGET / "java", KAFKA + "".join(s.read_text() for s in sources), make)
    return f"{folder}:{libs}/*"


def kcat():
    """kcat, on purpose in Debian's old build: librdkafka 2.0.2 shows what newer ones forgive."""
    debian(["kcat"], lambda: shutil.which("kcat"))
    return "kcat"


def librdkafka_source(folder):
    """librdkafka's sources, as the crate rdkafka-sys carries them, ready for its own configure."""
    crate = crate_source("rdkafka-sys", LIBRDKAFKA_CRATE, TARGET / "fetch" / "rdkafka-sys-source")
    call(["cp", "-r", f"{crate}/librdkafka/.", folder], log_of("librdkafka-copy"))
    for name in ("configure", "lds-gen.py", *(f"mklove/{p.name}" for p in (folder / "mklove").iterdir())):
        (folder / name).chmod(0o755)


def configure_environment():
    """Ours, without what librdkafka's configure would pass on: a variable LIBS goes to the linker."""
    return {k: v for k, v in os.environ.items() if k not in ("LIBS", "CFLAGS", "CXXFLAGS", "LDFLAGS")}


def rdkafka_performance():
    """librdkafka's own load program, built with nothing but what its sources bring and zlib."""
    leave_out = [f"--disable-{what}" for what in ("ssl", "gssapi", "curl", "zstd", "lz4-ext")]

    def make(folder):
        librdkafka_source(folder)
        for step, command in (
            ("configure", ["./configure", *leave_out]),
            ("library", ["make", "-j2", "-C", "src", "librdkafka.a"]),
            ("program", ["make", "-C", "examples", "rdkafka_performance"]),
        ):
            call(command, log_of(f"rdkafka-performance-{step}"), cwd=folder, env=configure_environment())

    folder = once(TARGET / "rdkafka-performance", LIBRDKAFKA_CRATE, make)
    return folder / "examples" / "rdkafka_performance"


def crate_source(name, version, folder):
    """Copies the unpacked source of a published crate, tests included, into `folder`."""
    fetch = TARGET / "fetch" / name
    fetch.mkdir(parents=True, exist_ok=True)
    (fetch / "lib.rs").write_text("")
    (fetch / "Cargo.toml").write_text(
        '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "lib.rs"\n[workspace]\n'
        f'[dependencies]\n{name} = {{ version = "={version}", default-features = false }}\n'
    )
    call(["cargo", "fetch", "-q"], log_of(f"fetch-{name}"), cwd=fetch)
    answer = subprocess.run(
        ["cargo", "metadata", "--format-version", "1"], cwd=fetch, check=True, capture_output=True, text=True
    ).stdout
    manifest = next(p["manifest_path"] for p in json.loads(answer)["packages"] if p["name"] == name)
    shutil.copytree(Path(manifest).parent, folder, dirs_exist_ok=True)
    call(["chmod", "-R", "u+w", folder], log_of(f"fetch-{name}"))
    return folder
