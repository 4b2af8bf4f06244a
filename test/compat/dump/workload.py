"""What is written to a node so that its log directory has files of all kinds."""

import subprocess

from harness import install
from harness.report import expect_equal

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
SETTINGS = {
    "index.interval.bytes": "256",
    # small enough for several segments, with what closes one: a producer snapshot, trimmed indexes
    "segment.bytes": "1048576",
}


def write_all_kinds(node, executable):
    """Records of each codec, with keys, headers and nulls; committed offsets; on Kafka transactions, too."""

    def dohle(*words, given=""):
        command = [executable, *words, "--bootstrap", node.bootstrap]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=120)
        expect_equal(done.returncode, 0, f"{' '.join(words)}: {done.stderr}")

    settings = [word for key, value in SETTINGS.items() for word in ("--config", f"{key}={value}")]
    for codec in CODECS:
        topic = f"dump-{codec}"
        dohle("topic", "create", topic, "-p", "2", *settings)
        words = (f"key-{n % 50}:value {n} of {codec} {'x' * (n % 90)} grün €" for n in range(12_000))
        lines = "\n".join(words) + "\n"
        dohle("produce", topic, "-k", ":", "-z", codec, "-q", "--header", f"codec={codec}", given=lines)
        dohle("consume", topic, "--group", f"group-{codec}", "-n", "100", "--from-beginning")
    dohle("topic", "delete", "dump-none")
    if node.kind == "kafka":
        write_transactions(node)


def write_transactions(node):
    tool = "org.apache.kafka.tools.ProducerPerformance"
    what = ["--topic", "dump-gzip", "--num-records", "2000", "--record-size", "50", "--throughput", "2000"]
    how = ["--transaction-duration-ms", "100", "--bootstrap-server", node.bootstrap]
    java = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", f"{install.kafka_tools() / 'libs'}/*", tool]
    done = subprocess.run([*java, *what, *how], capture_output=True, text=True, timeout=120)
    expect_equal(done.returncode, 0, f"{tool}: {done.stderr[-400:]}")
