"""The files of a log directory: copied, told apart, compared."""

import hashlib
import re
import subprocess
from pathlib import Path

# What only a running node of one kind keeps, or what names a moment.
MOMENTARY = re.compile(
    r"^(\.lock|dohle\..*|meta\.properties|bootstrap\.checkpoint|.*\.tmp|__cluster_metadata-0/.*|remote-log-index-cache/.*)$"
)

# What tells two directories of one name apart.
UNIQUE = re.compile(r"\.[0-9a-f]{32}-(?=delete|stray|future)")


def copy(source, target):
    """A copy of a data directory, holes in files and all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", "--sparse=always", source, target], check=True)


def listing(data):
    """The files of a data directory with their sizes and hashes, but what is a node's own affair."""
    found = {}
    for file in sorted(Path(data).rglob("*")):
        name = str(file.relative_to(data))
        if file.is_file() and not MOMENTARY.match(name):
            content = file.read_bytes()
            found[UNIQUE.sub(".*-", name)] = (len(content), hashlib.sha256(content).hexdigest()[:16])
    return found


def differing(got, wanted):
    """The files that differ between two listings, as lines."""
    for name in sorted(got.keys() | wanted.keys()):
        if got.get(name) != wanted.get(name):
            size = lambda listing: f"{listing[name][0]} bytes" if name in listing else "no file"
            yield f"{name}: {size(got)} instead of {size(wanted)}"
