"""Who may use a directory: the lock of a running node."""

import re

from harness.node import NodeError, free_port
from harness.report import Failed, expect

from .observe import Observer


def rival(node, kind, folder):
    """Another node on the same data with ports of its own; returns what it said when it refused."""
    other = kind(folder, (free_port(), free_port()))
    text = other.file.read_text().replace(f"log.dirs={other.folder}/data", f"log.dirs={node.folder}/data")
    other.file.write_text(text)
    try:
        other.start()
    except NodeError:
        return other.log.read_text(errors="replace")
    other.stop()
    raise Failed("two nodes use one directory")


def locks(it):
    """While one node runs, the other does not start on its directory; nor is anything broken by the attempt."""
    for owner, guest in ((it.kafka, it.dohle), (it.dohle, it.kafka)):
        node = owner(f"owned-{owner.__name__}")
        text = rival(node, guest, f"rival-{guest.__name__}")
        it.node = node
        expect(re.search(r"\.lock|lock on", text), f"{guest.__name__} says nothing of a lock: {text[-300:]}")
        expect(node.alive(), "the node that owns the directory is gone")
        Observer(node).all()
        node.terminate()
        # and it is free again
        expect(not (node.folder / "data" / ".lock").exists(), "the lock's file stays after a clean stop")
