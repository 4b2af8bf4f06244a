"""Who may use a directory: the lock of a running node, and what the format tools say of the other's work."""

import re
import subprocess

from harness.node import NodeError, free_port
from harness.report import Failed, expect, expect_equal

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


def command(node, *arguments):
    done = subprocess.run(
        [*node.storage_command(), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def formats(it):
    """What one formats the other starts on; both tools say the same of it."""
    told = {}
    for maker, user in ((it.kafka, it.dohle), (it.dohle, it.kafka)):
        name = f"by-{maker.__name__}"
        ports = (free_port(), free_port())
        made = maker(name, ports)
        made.format()
        node = user(name, ports)
        for tool in (made, node):
            code, out = command(tool, "info", "-c", str(node.file))
            expect_equal(code, 0, f"exit of info by {tool.kind} of what {made.kind} formatted: {out[-300:]}")
            expect("metadata" in out.lower(), f"info by {tool.kind}: {out[-300:]}")
        cluster = re.search(r"cluster\.id=(\S+)", (node.folder / "data" / "meta.properties").read_text())[1]
        code, out = command(node, "format", "--standalone", "-t", cluster, "-c", str(node.file))
        expect(code != 0, f"{node.kind} formats again what {made.kind} formatted: {out[-200:]}")
        again = ["format", "--standalone", "-t", cluster, "-c", str(node.file), "--ignore-formatted"]
        code, out = command(node, *again)
        expect_equal(code, 0, f"exit of format --ignore-formatted by {node.kind}: {out[-300:]}")
        node.start()
        seen = Observer(node).all()
        expect_equal(seen["cluster"]["id"], cluster, "cluster id")
        told[made.kind] = seen["features"]
        node.terminate()
    # Dohle finalises no feature that it does not serve yet
    wanted = {name: told["kafka"].get(name) for name in told["dohle"]}
    expect_equal(told["dohle"], wanted, "features of a cluster that Dohle formatted, as Kafka tells them")
    expect({"metadata.version", "kraft.version"} <= set(wanted), f"features: {wanted}")
