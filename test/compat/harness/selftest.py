"""The judges judged: each must be able to fail, and must not fail what is right.

Needs no node. What a client or a codec computes is compared with values from elsewhere: murmur2 with those of
the Java client, CRC-32C with the one that the standard gives.
"""

import copy
import json
import tempfile
from pathlib import Path
from types import SimpleNamespace

from clients.checks import expect_records
from clients.hashes import murmur2, partition_of
from disk import battery as disk_battery
from disk import golden as disk_golden
from disk import manifest, observe, shell, workload
from wire import batches, golden, schema

from . import install, lists
from .report import Failed, Report, expect, expect_equal


class Silent(Report):
    """A report that prints nothing."""

    def line(self, verdict, name, seconds, detail):
        pass

    def note(self, text):
        self.notes.append(text)


def run(report, node, work, quick):
    """Makes every judge pass and fail."""
    for name, check in (
        ("murmur2 is the Java client's", hashes),
        ("CRC-32C is the standard's", checksums),
        ("a changed, missing or added field of an answer is found", answers),
        ("masks hide what moves and nothing else", masks),
        ("a message with a byte too many or too few is refused", strictness),
        ("frozen lists excuse only what they name", frozen),
        ("every name in needs-later.tsv is on a list", later),
        ("changed records are found", records),
        ("what two nodes tell of a directory is compared to the last byte", directories),
        ("a file is excused by its row only, and an idle row is told", excuses),
        ("every kind of row in a golden directory's manifest is compared", manifests),
        ("what only files tell is read from Kafka's own words for it", kept_in_files),
        ("a whole run has a seed that is drawn, and none but those it is told", seeds),
        ("images differ by what no node draws", images),
        ("a check that raises fails", raising),
        ("what cannot be fetched is tried again, from an empty folder, and fails in the end", stumbling),
    ):
        report.check(name, check)


def fails(action, what):
    try:
        action()
    except (Failed, schema.WireError):
        return
    raise Failed(f"not found: {what}")


def hashes():
    # from the Java client's own tests of its partitioner
    for key, wanted in (
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"", 275646681),
    ):
        signed = murmur2(key) - (1 << 32 if murmur2(key) >> 31 else 0)
        expect_equal(signed, wanted, f"hash of {key!r}")
    expect(0 <= partition_of(b"foobar", 7) < 7, "a partition out of range")


def checksums():
    expect_equal(batches.crc32c(b"123456789"), 0xE3069283, "CRC of the digits")


def answers():
    rows = golden.read()
    expect(len(rows) > 900, f"only {len(rows)} golden answers")
    key = next(k for k in rows if k[:2] == ("Fetch", "empty partition"))
    expect(golden.difference(rows[key], copy.deepcopy(rows[key])) is None, "equal answers differ")
    for change in (
        lambda p: p.__setitem__("HighWatermark", 1),
        lambda p: p.__setitem__("Records", None),
        lambda p: p.pop("AbortedTransactions"),
        lambda p: p.__setitem__("Added", 0),
        lambda p: p.__setitem__("ErrorCode", False),
    ):
        other = copy.deepcopy(rows[key])
        change(other["Responses"][0]["Partitions"][0])
        expect(golden.difference(rows[key], other), "a difference was overlooked")
    longer = copy.deepcopy(rows[key])
    longer["Responses"] *= 2
    expect(golden.difference(rows[key], longer), "a second element was overlooked")


def masks():
    answer = {"TopicId": "ab" * 16, "ErrorMessage": "why", "ErrorCode": 3, "Leader": "", "Port": 0}
    wanted = {"TopicId": "*", "ErrorMessage": "*", "ErrorCode": 3, "Leader": "", "Port": 0}
    expect_equal(golden.masked(answer, "Fetch"), wanted, "masked answer")


def strictness():
    fetch = schema.response("Fetch")
    for version in fetch.versions():
        good = fetch.encode({"Responses": [], "SessionId": 5}, version)
        expect_equal(fetch.decode(good, version)["Responses"], [], f"v{version} read back")
        fails(lambda: fetch.decode(good + b"\0", version), f"a byte too many in v{version}")
        fails(lambda: fetch.decode(good[:-1], version), f"a byte too few in v{version}")
    fails(lambda: schema.response("Metadata").decode(b"\x7f\xff\xff\xff", 0), "a count beyond the bytes")


def frozen():
    inner = Silent("inner")
    lists.judge(inner, "x", ["a", "b", "c", "d"], {"a", "c"}, {"c": "later", "d": "later"}, lambda name: "")
    expect_equal((inner.passed, inner.failed), (["a", "c"], ["b"]), "verdicts")
    expect(
        any("c" in note and "leave" in note for note in inner.notes),
        "a passing test of needs-later is not told",
    )


def later():
    suites = {path.stem for path in lists.LISTS.glob("*.txt")}
    for suite in suites:
        known = set(lists.frozen(suite)) | {"authorizer.class.name", "allow.everyone.if.no.acl.found"}
        expect(
            not set(lists.later(suite)) - known, f"{suite}: unknown names {set(lists.later(suite)) - known}"
        )
    text = (lists.LISTS / "needs-later.tsv").read_text().splitlines()[1:]
    expect(
        all(line.count("\t") == 2 and line.split("\t")[0] in suites for line in text), "a row of another form"
    )


def records():
    sent = [{"p": 0, "ts": 5, "k": "a2V5", "v": None, "h": [["n", "YQ=="], ["n", None]]}]
    got = [{"p": 0, "o": 0, "ts": 5, "k": "a2V5", "v": None, "h": [["n", "YQ=="], ["n", None]]}]
    expect_records(got, sent, 0)
    for field, value in (("ts", 6), ("k", None), ("v", ""), ("h", [["n", None], ["n", "YQ=="]])):
        fails(lambda: expect_records([got[0] | {field: value}], sent, 0), f"{field} {value!r}")
    fails(lambda: expect_records([], sent, 0), "a lost record")
    fails(lambda: expect_records(got * 2, sent, 0), "a record twice")


def directories():
    batch = batches.batch([(b"k", b"v")], 1_700_000_000_000)
    told = {
        "records": {"t-0": {"bytes": batch.hex()}},
        "offsets": {"t-0": {"-1 0": [0, 1, -1, 0], "-2 0": [0, 0, -1, 0]}},
        "epochs": {"t-0": {0: [0, 0, 1]}},
        "times": {"t-0": {1_700_000_000_000: [0, 0, 1_700_000_000_000, 0]}},
    }
    same = lambda other: not list(observe.differences(*observe.comparable(other, told)))
    expect(same(copy.deepcopy(told)), "equal observations differ")
    for change in (
        lambda o: o["records"]["t-0"].__setitem__("bytes", batch.hex()[:-2] + "01"),
        lambda o: o["records"].pop("t-0"),
        lambda o: o["offsets"]["t-0"]["-1 0"].__setitem__(1, 2),
        lambda o: o["epochs"]["t-0"].__setitem__(0, [0, 0, 2]),
        lambda o: o["times"]["t-0"].clear(),
    ):
        other = copy.deepcopy(told)
        change(other)
        expect(not same(other), "a difference was overlooked")
    # what a coordinator wrote since is none, what is missing of before is one
    added = lambda attributes: batches.batch([(b"l", b"w")], 1_700_000_009_000, base=1, attributes=attributes)
    of = lambda part, data: {"records": {part: {"bytes": data}}, "offsets": {part: len(data)}}
    as_found = lambda part, *datas: list(observe.as_found(1_700_000_005_000, *(of(part, d) for d in datas)))
    control, plain = 0x30, 0
    for part, attributes in (("__transaction_state-0", plain), ("t-0", control)):
        later = batch.hex() + added(attributes).hex()
        expect_equal(
            *as_found(part, batch.hex(), later), f"what was found before a coordinator wrote to {part}"
        )
        for lost in ("", batch.hex()[:-2] + "01"):
            one, other = as_found(part, lost, later)
            expect(one != other, f"a loss in {part} was overlooked")
    one, other = as_found("t-0", batch.hex(), batch.hex() + added(plain).hex())
    expect(one != other, "a client's record since then was overlooked")
    # a later start's epoch is none
    later = copy.deepcopy(told)
    later["epochs"]["t-0"][1] = [0, 1, 1]
    later["offsets"]["t-0"]["-1 0"][3] = 1
    expect(same(later), "a later epoch is a difference")


def excuses():
    table = "judge\tsample\tpath\treason\nnode\ta\tt-0/*.log\tr\nlog\ta\tt-0/x\tr\nboth\ta\t__*\tr\nnode\tb\tt-0/y\tr\n"
    excused = disk_golden.Excused(table, "a")
    expect_equal(
        [excused.covers(p) for p in ("t-0/1.log", "t-0/x", "t-0/y", "u-0/1.log")],
        [True] + [False] * 3,
        "excused",
    )
    expect_equal(excused.useless(), ["__*"], "rows that excuse nothing")
    fails(lambda: disk_golden.Excused(table + "both\ta\tt-0/z\t\n", "a"), "a row without a reason")


def manifests():
    wanted = manifest.rows((disk_golden.DATA / "manifest.tsv").read_text(), "clean")
    expect_equal({kind for kind, _ in wanted}, disk_golden.KINDS, "kinds of rows")
    table = manifest.LEFT_OUT.read_text()
    # as Dohle tells it: what is left out for a reason is not there
    seen, left_out = {}, manifest.LeftOut(table, "clean")
    for (kind, name), fields in wanted.items():
        told = {f: v for f, v in fields.items() if not left_out.covers(kind, name, f, (v, None))}
        seen |= {(kind, name): told} if told else {}
    wrong = lambda found, rows=table: list(
        manifest.differences(found, wanted, manifest.LeftOut(rows, "clean"))
    )
    expect_equal(wrong(seen), [], "differences of equal rows")
    for kind in disk_golden.KINDS:
        key = min(k for k in seen if k[0] == kind)
        field, value = next(iter(seen[key].items()))
        for change in (
            seen | {key: seen[key] | {field: value + "0"}},
            seen | {key: {f: v for f, v in seen[key].items() if f != field}},
            seen | {key: seen[key] | {"another": "1"}},
            seen | {(kind, "another"): {field: value}},
        ):
            expect(len(wrong(change)) == 1, f"a difference of {kind} was overlooked")
    # what may be absent may not be wrong
    absent = [(key, field) for key, fields in wanted.items() for field in fields if field not in seen.get(key, {})]
    for key, field in absent:
        other = seen | {key: seen.get(key, {}) | {field: "1" + wanted[key][field]}}
        expect(len(wrong(other)) == 1, f"a wrong value of {key} {field} was excused")
    changed = "clean\tacl\t*\t*\t*\t*0\twhy\n"
    key, field = next((key, field) for key in seen if key[0] == "acl" for field in seen[key])
    for value, count in ((wanted[key][field] + "0", 0), (wanted[key][field] + "1", 2), (None, 2)):
        told = {field: value} if value else {}
        expect_equal(len(wrong(seen | {key: told}, table + changed)), count, f"{value} where another may be")
    idle = "clean\tacl\t*\t*\t*\tabsent\twhy\n"
    expect_equal(
        wrong(seen, table + idle), ["acl * * * absent: left out, and nothing differs"], "an idle row"
    )
    expect_equal(len(wrong(seen, table.splitlines()[0])), 9, "what nothing leaves out")
    fails(lambda: wrong(seen, table + "clean\tacl\t*\t*\t*\t*\t\n"), "a row without a reason")
    fails(lambda: manifest.rows("a\tk\tn\tf\t1\na\tk\tn\tf\t2", "a"), "a row twice")


def kept_in_files():
    line = lambda data: f"| offset: 1 CreateTime: 2 keySize: -1 headerKeys: [] payload: {json.dumps(data)}\n"
    records = (
        {"resourceType": 2, "resourceName": "t", "patternType": 4, "principal": "User:a"}
        | {"host": "*", "operation": 4, "permissionType": 2},
        {"entity": [{"entityType": "user", "entityName": None}], "key": "b", "value": 10.0},
        {"entity": [{"entityType": "user", "entityName": None}], "key": "a", "value": 0.5},
        {"name": "eve", "mechanism": 2, "iterations": 8192},
    )
    kinds = ("ACCESS_CONTROL_ENTRY_RECORD", *["CLIENT_QUOTA_RECORD"] * 2, "USER_SCRAM_CREDENTIAL_RECORD")
    printed = [line({"type": kind, "data": data}) for kind, data in zip(kinds, records)]
    wanted = {
        ("acl", "TOPIC t PREFIXED"): {"-": "User:a * WRITE DENY"},
        ("quota", "{user=null}"): {"-": "{a=0.5, b=10.0}"},
        ("scram", "eve"): {"-": "[SCRAM_SHA_512:8192]"},
    }
    expect_equal(manifest.kept("".join(printed)), wanted, "what is kept")
    for left_out in range(4):
        fewer = "".join(printed[:left_out] + printed[left_out + 1 :])
        expect(manifest.kept(fewer) != wanted, f"a record that is missing was overlooked: {kinds[left_out]}")
    state = lambda status, parts: (
        {"producerId": 3, "producerEpoch": 1, "transactionTimeoutMs": 9}
        | {
            "transactionStatus": status,
            "transactionPartitions": parts,
        }
    )
    key = 'key: {"type":"0","data":{"transactionalId":"x"}} payload: '
    of = lambda value: f"| offset: 1 headerKeys: [] {key}{value}\n"
    empty = of(json.dumps({"data": state(0, None)}))
    ongoing = of(json.dumps({"data": state(1, [{"topic": "t", "partitionIds": [1, 0]}])}))
    told = lambda what: {("transaction", "x"): {"state": f"{what} timeout 9"}}
    begun = told("Ongoing producer 3 epoch 1 partitions [t-0, t-1]")
    expect_equal(manifest.transactions(empty + ongoing), begun, "the last state")
    ended = told("Empty producer 3 epoch 1 partitions []")
    expect_equal(manifest.transactions(ongoing + empty), ended, "the last state")
    expect_equal(manifest.transactions(ongoing + of("<DELETE>")), {}, "an id that is gone")


def seeds():
    drawn = set()
    for _ in range(5):
        *fixed, last = disk_battery.chosen_seeds(None, None, False)
        expect_equal(fixed, [1, 2, 3], "seeds of a whole run")
        expect(last not in fixed, f"seed {last} twice")
        drawn.add(last)
    expect(len(drawn) > 1, "the same seed is drawn each time")
    quick = {(None, None): [1, 2], (77, 1): [77], (77, None): [77, 78], (None, 3): [1, 2, 3], (7, 2): [7, 8]}
    for told, wanted in quick.items():
        expect_equal(disk_battery.chosen_seeds(*told, True), wanted, f"seeds of {told}")
    # a seed is in the name of what it makes, and makes the same again
    made = [step for step in disk_battery.checks([1, 77], True, {}) if len(step) == 3]
    expect(all(name.endswith(f", seed {seed}") for name, _, seed in made), f"names without a seed: {made}")
    expect_equal({seed for _, _, seed in made}, {1, 77}, "seeds that are used")
    for transactions in (False, True):
        plans = [workload.plan(seed, transactions) for seed in (77, 77, 78)]
        expect_equal(plans[0], plans[1], "what a seed makes again")
        expect(plans[0] != plans[2], "two seeds make the same")


def images():
    registration = (
        "B(epoch={}, incarnationId={}, host='h', port={}, supportedFeatures={{a: 0-1, b: 0}}, fenced=false)"
    )
    text = (
        "cluster:\n  brokers:\n    1:\n      "
        + registration
        + "\ntopics:\n  byName:\n    t:\n      id:\n        {}\n"
    )
    tree = lambda *drawn: shell.leaves(text.format(*drawn))
    first, second = tree(13, "a" * 22, 1001, "x" * 22), tree(9, "b" * 22, 2001, "y" * 22)
    expect_equal(first["topics/byName/t/id"], "x" * 22, "a leaf of the tree")
    node = lambda ports: SimpleNamespace(ports=ports, kind="test")
    shown = lambda image, ports: shell.comparable(image, node(ports), "d" * 22)
    expect_equal(shown(first, (1001, 1002)), shown(second, (2001, 2002)), "images")
    expect_equal(shown(first, (1001, 1002))[1], {"a": (0, 1), "b": (0, 0)}, "ranges")
    fenced = first["cluster/brokers/1"].replace("fenced=false", "fenced=true")
    for path, value in (("cluster/brokers/1", fenced), ("topics/byName/t/0", "PartitionRegistration()")):
        other = shown(first | {path: value}, (1001, 1002))
        expect(other != shown(second, (2001, 2002)), f"a difference in {path} was overlooked")
    expect(shown(first, (1001, 1002))[0] != shown(second, (9, 2002))[0], "a wrong port was overlooked")


def raising():
    inner = Silent("inner")
    inner.check("os error", lambda: open("/no/such/file"))
    expect_equal(inner.failed, ["os error"], "verdicts")
    inner.fail("long", "first line\n  second line\n" + "x" * 1000)
    first, second = inner.failures(limit=30)
    expect(first.startswith("inner/os error: FileNotFoundError: "), first)
    expect_equal(second, "inner/long: first line second line xxxxxxx…", "what the end of a run tells")


def stumbling():
    def make(folder):
        tries.append(sorted(p.name for p in folder.iterdir()))
        (folder / "half").touch()
        if len(tries) < good:
            raise install.InstallError("not yet")

    for good in (1, 3, 4):
        with tempfile.TemporaryDirectory() as work:
            tries = []
            try:
                install.patiently(Path(work) / "x", make, (0, 0))
                expect(good <= 3, "it failed three times and counts as made")
            except install.InstallError:
                expect(good == 4, "it was made and counts as failed")
            expect_equal(tries, [[]] * min(good, 3), "what each try found")
