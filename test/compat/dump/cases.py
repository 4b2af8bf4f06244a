"""What a dump tool is asked about a folder: every file, with all flags that make sense for it."""

import io
import random
import tarfile

from harness.install import ROOT

DECODERS = {
    "__cluster_metadata": "--cluster-metadata-decoder",
    "__consumer_offsets": "--offsets-decoder",
    "__transaction_state": "--transaction-log-decoder",
    "__share_group_state": "--share-group-state-decoder",
    "__remote_log_metadata": "--remote-log-metadata-decoder",
}
SEGMENTS = (".log", ".checkpoint")
INDEXES = (".index", ".timeindex")
SUFFIXES = (*SEGMENTS, *INDEXES, ".txnindex", ".snapshot")


def remote_log_calls():
    """About the segment of remote log metadata that the test of `dohle` makes from the schema."""
    segment = ROOT / "apps" / "cli" / "testdata" / "remote-log" / "__remote_log_metadata-0"
    return calls(segment)


def golden_folders(folder):
    """Unpacks the log directories that Kafka 4.4.0 wrote; returns them by name."""
    folders = {}
    for name in ("clean", "killed", "torn"):
        folders[name] = folder / name
        folders[name].mkdir(parents=True)
        packed = ROOT / "core" / "log" / "testdata" / f"{name}.tar.gz"
        with tarfile.open(fileobj=io.BytesIO(packed.read_bytes())) as archive:
            archive.extractall(folders[name], filter="data")
    metadata = folders["clean"] / "__cluster_metadata-0"
    metadata.mkdir(exist_ok=True)
    for file in (ROOT / "core" / "raft" / "testdata" / "kafka-4.4.0").iterdir():
        (metadata / file.name).write_bytes(file.read_bytes())
    return folders


def files(folder):
    """All files below a folder that a dump tool knows, and those that it says it does not."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and "." in path.name)


def flag_sets(path):
    """The flags to try on one file."""
    if path.suffix in SEGMENTS:
        decoder = DECODERS.get(path.parent.name.rpartition("-")[0])
        sets = [[], ["--deep-iteration"], ["--print-data-log"], ["--deep-iteration", "--max-bytes", "300"]]
        sets += [["--print-data-log", "--skip-record-metadata"]]
        sets += [["--skip-record-metadata", "--deep-iteration"]]
        sets += [[decoder], [decoder, "--skip-record-metadata"]] if decoder else []
        # what is not in the format of the decoder, too
        sets += [["--offsets-decoder"], ["--cluster-metadata-decoder"], ["--transaction-log-decoder"]]
        return sets
    if path.suffix == ".timeindex" and not path.with_suffix(".index").exists():
        return [[]]  # Kafka's tool leaves an empty index behind, and the next call finds that
    if path.suffix in INDEXES:
        sets = [[], ["--verify-index-only"], ["--index-sanity-check"]]
        return sets + ([["--max-message-size", "100"]] if path.suffix == ".index" else [])
    return [[]]


def calls(folder):
    """The arguments of each call about a folder. A time index alone is left out: Kafka's tool wants the other index
    beside it, makes an empty one if there is none, and fails; ours reads what it is asked for."""
    for path in files(folder):
        if path.suffix == ".timeindex" and not path.with_suffix(".index").exists():
            continue
        for flags in flag_sets(path):
            yield [*flags, "--files", str(path)]


def spoilt(folder, work, seed, copies):
    """Copies of files of each kind, cut or changed at random places; returns the folder with them. Not of the index of
    aborted transactions: where an entry cannot be true Kafka prints it, and we say so and fail."""
    dice = random.Random(seed)
    by_suffix = {}
    for path in files(folder):
        if path.suffix in SUFFIXES and path.suffix != ".txnindex" and 0 < path.stat().st_size < 200_000:
            by_suffix.setdefault(path.suffix, []).append(path)
    for suffix in sorted(by_suffix):
        for copy in range(copies):
            path = dice.choice(by_suffix[suffix])
            place = work / f"{suffix[1:]}-{copy}" / path.parent.name
            place.mkdir(parents=True)
            if suffix in INDEXES:
                for other in path.parent.glob(f"{path.name.split('.')[0]}.*"):
                    (place / other.name).write_bytes(other.read_bytes())
            data = bytearray(path.read_bytes())
            if dice.random() < 0.3:
                del data[dice.randrange(len(data)) :]
            else:
                for _ in range(dice.choice([1, 1, 1, 4])):
                    data[dice.randrange(min(len(data), 4000))] = dice.randrange(256)
            (place / path.name).write_bytes(data)
    return work


ARGUMENTS = [
    [],
    ["--help"],
    ["--no-such-flag"],
    ["-x"],
    ["--files"],
    ["--files", "a", "--files", "b"],
    ["--files", ""],
    ["--files", "a,,b,"],
    ["--files", "no-such.log"],
    ["--files", "no-such.index"],
    ["--files", "/no/such/00000000000000000000.log"],
    ["--files", "/no/such/00000000000000000000.index"],
    ["--files", "/no/such/00000000000000000000.timeindex"],
    ["--files", "/no/such/00000000000000000000.txnindex"],
    ["--files", "/no/such/00000000000000000000.snapshot"],
    ["--files", "/no/such/bootstrap.checkpoint"],
    ["--files", "/no/such/short.checkpoint"],
    ["--files", "/no//such/x.properties/"],
    ["--deep-iteration"],
    ["--files", "a", "--max-bytes", "x"],
    ["--files", "/no/such/00000000000000000000.log", "--max-bytes", "x"],
    ["--files", "/no/such/00000000000000000000.log", "--value-decoder-class", "com.example.Decoder"],
    ["-files", "a"],
    ["--files=a", "--", "--no-such-flag"],
    ["--files=a", "stray", "--print-data-log=yes"],
]
