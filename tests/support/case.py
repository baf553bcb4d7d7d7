"""case - runs sentences: a function a case, a row a variant, one line a case, the count last.

A row fails by an exception; see() raises one that says what was seen. After each row the bench asks the house for its
invariants, so a case that "worked" while a value leaked is a failure of that row.
"""
import re
import signal
import sys
import time
import traceback


class Seen(AssertionError):
    """What a test saw instead of what it wanted."""


def see(holds, saw):
    if not holds:
        raise Seen(saw)


def see_equal(got, want, what):
    if got != want:
        raise Seen(f"{what} is {short(got)}, not {short(want)}")


def short(value, most=160):
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} long)"


class Bench:
    def __init__(self):
        self.cases, self.passed, self.failed = [], 0, 0
        self.pattern = re.compile(sys.argv[2] if len(sys.argv) > 2 else "")
        if len(sys.argv) < 2:
            sys.exit(f"{sys.argv[0]} BUILD_DIR [PATTERN]")
        self.build = sys.argv[1]

    def case(self, sentence, rows=(("",),)):
        """Register a case; each row is (label, arguments...)."""

        def keep(function):
            if self.pattern.search(sentence):
                self.cases.append((sentence, function, list(rows)))
            return function

        return keep

    def row(self, label, function, *arguments):
        """One variant; gives what was seen when it failed, else None."""
        try:
            function(*arguments)
        except Seen as saw:
            return f"{label}: {saw}"
        except Exception as error:  # a test must go on with its next row
            place = traceback.extract_tb(error.__traceback__)[-1]
            return f"{label}: {type(error).__name__}: {error} ({place.filename.split('/')[-1]}:{place.lineno})"
        return None

    def one(self, sentence, function, rows, house):
        began, bad = time.monotonic(), []
        for label, *arguments in rows:
            saw = self.row(label or "-", function, house, *arguments) or self.row(label or "-", house.holds)
            if saw:
                bad.append(saw)
        self.passed += len(rows) - len(bad)
        self.failed += len(bad)
        rest = f" ({len(rows)} variants, {(time.monotonic() - began) * 1000:.0f} ms)"
        if not bad:
            print(f"ok    {sentence}{rest}", flush=True)
        for saw in bad:
            print(f"FAIL  {sentence}: {saw}", flush=True)

    def run(self, make_house):
        """make_house(build) gives a context manager with holds() and final(); each pair of final() is a case."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # so that the house is taken down
        try:
            with make_house(self.build) as house:
                for sentence, function, rows in self.cases:
                    self.one(sentence, function, rows, house)
                for sentence, function in house.final():
                    saw = self.row("at the end", function)
                    self.passed, self.failed = self.passed + (not saw), self.failed + bool(saw)
                    print(f"FAIL  {sentence}: {saw}" if saw else f"ok    {sentence}", flush=True)
        except Exception as error:  # the house itself did not stand
            self.failed += 1
            print(f"FAIL  the bench could not be set up or taken down: {type(error).__name__}: {error}", flush=True)
            traceback.print_exc()
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)
