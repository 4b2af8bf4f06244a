"""What one node's tool formats, the other starts on, and both tools say the same of it."""

import re
import shutil
import subprocess
from dataclasses import dataclass, field

from harness.node import HOST, free_port
from harness.report import expect, expect_equal

from .observe import Observer
from .shell import LEVELS, OFTEN, shell, snapshot_of_all

STANDALONE = ("--standalone",)


@dataclass(frozen=True)
class Way:
    """A way to format: the arguments, the settings, and whether the release before does it, too."""

    arguments: tuple = STANDALONE
    settings: dict = field(default_factory=dict)
    is_old: bool = False


STATIC = {"controller.quorum.voters": f"1@{HOST}:CONTROLLER", "controller.quorum.bootstrap.servers": ""}
WAYS = {
    "alone": Way(),
    "with voters in the settings": Way((), STATIC),
    "with voters on the command line": Way(
        ("--initial-controllers", f"1@{HOST}:CONTROLLER:sample-node1-dir-AAAAA")
    ),
    "at the levels of 4.1": Way((*STANDALONE, "--release-version", "4.1")),
    "with features": Way((*STANDALONE, "--feature", "eligible.leader.replicas.version=0")),
    # its directories have their first records in a file of their own
    "by the release before": Way(is_old=True),
    "by the release before, with voters in the settings": Way((), STATIC, is_old=True),
}


def command(node, *arguments):
    done = subprocess.run(
        [*node.storage_command(), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def formats(it, way):
    """Both nodes start on what the one and the other formatted, and tell the same levels."""
    ports = (free_port(), free_port())
    there = lambda text: text.replace("CONTROLLER", str(ports[1]))
    settings = {key: there(value) for key, value in way.settings.items()}
    arguments = [there(argument) for argument in way.arguments]
    for maker in (it.old_kafka,) if way.is_old else (it.kafka, it.dohle):
        made = maker(f"by-{maker.__name__}", ports=ports, extra=settings)
        made.format(arguments)
        features = {}
        for user in (it.kafka, it.dohle):
            node = user(f"by-{maker.__name__}-for-{user.__name__}", ports, settings)
            shutil.copytree(made.folder / "data", node.folder / "data")
            cluster = accepted(made, node, arguments)
            node.start()
            seen = Observer(node).all()
            expect_equal(seen["cluster"]["id"], cluster, f"cluster id by {node.kind}")
            features[user] = seen["features"]
            node.terminate()
        expect_equal(
            features[it.dohle], features[it.kafka], f"levels of what {made.kind} formatted, by Dohle"
        )
        expect("metadata.version" in features[it.dohle], f"levels: {features}")


def accepted(made, node, arguments):
    """The tool of `node` knows the directory for one that is formatted; the cluster's id."""
    what = f"by {node.kind} of what {made.kind} formatted"
    code, out = command(node, "info", "-c", str(node.file))
    expect_equal(code, 0, f"exit of info {what}: {out[-300:]}")
    expect("metadata" in out.lower(), f"info {what}: {out[-300:]}")
    cluster = re.search(r"cluster\.id=(\S+)", (node.folder / "data" / "meta.properties").read_text())[1]
    again = ["format", *arguments, "-t", cluster, "-c", str(node.file)]
    code, out = command(node, *again)
    expect(code != 0, f"{node.kind} formats again what {made.kind} formatted: {out[-200:]}")
    code, out = command(node, *again, "--ignore-formatted")
    expect_equal(code, 0, f"exit of format --ignore-formatted {what}: {out[-300:]}")
    return cluster


# Users with what Kafka's tool is given of them, and what DescribeUserScramCredentials tells: mechanism, rounds.
USERS = {
    "alice": ("SCRAM-SHA-256=[name=alice,password=of-alice]", [(1, 4096)]),
    "bob": ("SCRAM-SHA-512=[name=bob,password=of-bob,iterations=8192]", [(2, 8192)]),
}


def credentials(it):
    """What Kafka's tool put into a directory Dohle keeps, and Kafka finds again; Dohle's own tool, which serves
    no credentials yet, refuses them and writes nothing.
    """
    given = [word for text, _ in USERS.values() for word in ("--add-scram", text)]
    ports = (free_port(), free_port())
    made = it.kafka("formatted", ports)
    made.format([*LEVELS, *given])
    folder = made.folder / "data" / "__cluster_metadata-0"
    of = lambda file: {
        path: value for path, value in shell(it.work, file).items() if path.startswith("scram/")
    }
    wanted = of(folder / f"{0:020}-{0:010}.checkpoint")
    expect_equal(
        sorted(p.split("/")[-1] for p in wanted if p.count("/") == 2), sorted(USERS), "users at the start"
    )
    node = it.dohle("by-dohle", ports, OFTEN)
    shutil.copytree(made.folder / "data", node.folder / "data")
    node.start()
    snapshot = snapshot_of_all(node)
    node.kill()
    for file in (snapshot, snapshot.with_name(f"{0:020}.log")):
        expect_equal(of(file), wanted, f"credentials in {file.name}")
    theirs = it.reopened(it.kafka, "back", node)
    told = Observer(theirs).ask("DescribeUserScramCredentials", 0, Users=None)
    theirs.terminate()
    expect_equal(told["ErrorCode"], 0, "error of DescribeUserScramCredentials")
    found = {
        one["User"]: [(info["Mechanism"], info["Iterations"]) for info in one["CredentialInfos"]]
        for one in told["Results"]
    }
    expect_equal(found, {user: infos for user, (_, infos) in USERS.items()}, "credentials that Kafka finds")
    refusing = it.dohle("refusing", (free_port(), free_port()))
    code, out = command(refusing, "format", *LEVELS, *given, "-t", "A" * 22, "-c", str(refusing.file))
    expect(
        code != 0 and "--add-scram is not supported" in out,
        f"exit {code} of format --add-scram: {out[-200:]}",
    )
    expect(not (refusing.folder / "data").exists(), "a format that is refused leaves a directory")
