"""What Kafka logs when it finds a data directory other than a clean stop leaves it.

Each pattern is proved to fire: the battery `disk` shows Kafka a directory with each kind of damage.
"""

import re

# By what is wrong, in Kafka 4.4.0's words.
COMPLAINTS = {
    "no clean stop": r"Recovering \d+ logs from \S+ since no clean shutdown file was found",
    "a segment is recovered": r"Recovering unflushed segment \d+\. \d+ recovered for (?!__cluster_metadata-0)",
    "bytes that are no batch": r"Found invalid messages in log segment",
    "a segment is cut": r"Corruption found in segment \d+, truncating",
    "offsets out of order": r"Found invalid offset during recovery",
    "segments behind a cut": r"Deleting segments as part of log recovery",
    "an index is missing": r"Could not find offset index file",
    "an index is damaged": r"Found a corrupted index file",
    "an index without a log": r"Found an orphaned index file",
    "producer state is damaged": r"Failed to load producer snapshot",
    "a cleaning was interrupted": r"from interrupted swap operation",
    "its output is renamed": r"Recovering file \S+ by renaming from",
    "its input is removed": r"Deleting segment files \S+ that is compacted",
    "the log ends before its start": r"Deleting all segments because logEndOffset",
    "offsets too far for an index": r"Caught segment overflow error",
    "recovery points cannot be read": r"Error occurred while reading recovery-point-offset-checkpoint",
    "log starts cannot be read": r"Error occurred while reading log-start-offset-checkpoint",
    "a directory of nobody": r"Found stray log dir",
}
# A directory was clean: this line has to be there.
CLEAN = r"Skipping recovery of \d+ logs from \S+ since clean shutdown file was found"
# A warning or an error of what reads the directory.
SEVERE = re.compile(r"^\S+ \S+ (WARN|ERROR|FATAL) (\S+) (.*)$", re.M)
READERS = (
    "org.apache.kafka.storage",
    "kafka.log",
    "org.apache.kafka.metadata.properties",
    "kafka.server.metadata",
)
# The setting with which the battery keeps the cleaner from working while two nodes are compared.
EXPECTED = "`log.cleaner.enable` is deprecated"


def complaints(text):
    """Which complaints a node's log holds: {what: first line}."""
    found = {}
    for what, pattern in COMPLAINTS.items():
        if match := re.search(rf"^.*{pattern}.*$", text, re.M):
            found[what] = match[0][:300]
    return found


def warnings(text):
    """Warnings and errors of the classes that read a data directory."""
    lines = (match for match in SEVERE.finditer(text) if match[2].startswith(READERS))
    return [match[0][:300] for match in lines if EXPECTED not in match[3]]


def log_ends(text):
    """Where Kafka found each log to end when it loaded it: {partition: (log start, log end, segments)}."""
    pattern = (
        r"Completed load of Log\(dir=\S*/([^/,]+), .*? with (\d+) segments, "
        r"local-log-start-offset (\d+) and log-end-offset (\d+)"
    )
    return {m[1]: (int(m[3]), int(m[4]), int(m[2])) for m in re.finditer(pattern, text)}
