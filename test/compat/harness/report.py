"""What a battery hands back: one verdict for each thing that it proved or failed to prove."""

import sys
import time
import traceback
from dataclasses import dataclass, field


class Failed(Exception):
    """A check found the node wrong; the message says what was expected and what came."""


class Unable(Exception):
    """A check cannot be made here, for a reason that lies in the client or in how the run was started."""


def expect(condition, message):
    """Fails the running check with `message` unless `condition` holds."""
    if not condition:
        raise Failed(message() if callable(message) else message)


def expect_equal(got, wanted, what):
    """Fails the running check unless two values are equal."""
    if got != wanted:
        raise Failed(f"{what}: expected {shorten(wanted)}, got {shorten(got)}")


def shorten(value, limit=300):
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "…"


@dataclass
class Report:
    """The verdicts of one battery, printed as they come."""

    battery: str
    passed: list = field(default_factory=list)
    failed: list = field(default_factory=list)
    # why, of each that failed
    reasons: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    def check(self, name, action):
        """Runs one check; anything that it raises is a failure of this check alone. True if it passed."""
        began = time.monotonic()
        try:
            detail = action()
        except Unable as reason:
            self.note(f"not made: {name}: {reason}")
            return False
        except Failed as wrong:
            self.fail(name, str(wrong), time.monotonic() - began)
            return False
        except Exception as error:
            self.fail(name, f"{type(error).__name__}: {error}", time.monotonic() - began)
            if not isinstance(error, OSError):
                traceback.print_exc(file=sys.stderr)
            return False
        self.succeed(name, time.monotonic() - began, detail if isinstance(detail, str) else "")
        return True

    def succeed(self, name, seconds=None, detail=""):
        self.passed.append(name)
        self.line("ok  ", name, seconds, detail)

    def fail(self, name, reason, seconds=None):
        self.failed.append(name)
        self.reasons.append(reason)
        self.line("FAIL", name, seconds, reason)

    def failures(self, limit=300):
        """A line for each failure, with the beginning of its reason: the end of a log is often all that is seen."""
        for name, reason in zip(self.failed, self.reasons):
            text = " ".join(reason.split())
            yield f"{self.battery}/{name}: {text[:limit]}" + ("…" if len(text) > limit else "")

    def note(self, text):
        self.notes.append(text)
        print(f"note {self.battery}: {text}", flush=True)

    def line(self, verdict, name, seconds, detail):
        time_ = "" if seconds is None else f"  {seconds:.1f} s"
        print(f"{verdict} {self.battery}/{name}{time_}" + (f"  {detail}" if detail else ""), flush=True)
