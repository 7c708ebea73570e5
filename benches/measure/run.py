"""Runs commands and collects what they took: paired, interleaved, one row a case."""

import collections
import statistics
import subprocess
import time


class Failed(Exception):
    """A command of a case did not do what it should; its case is left out and the reason printed."""


def run(command, **options):
    """Runs a command to its end and returns what it printed."""
    options.setdefault("stdin", subprocess.DEVNULL)
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", **options)
    if done.returncode != 0:
        raise Failed(f"`{' '.join(words)}` ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


def timed(command, **options):
    """Returns an act: runs the command and returns its wall time in seconds, as a whole process."""

    def act():
        begin = time.perf_counter()
        run(command, **options)
        return time.perf_counter() - begin

    return act


def poll(what, is_true, limit=60.0, pause=0.0002):
    """Waits until something of another process is true; returns the moment."""
    end = time.perf_counter() + limit
    while not is_true():
        if time.perf_counter() > end:
            raise Failed(f"{what} did not happen within {limit:.0f} s")
        time.sleep(pause)
    return time.perf_counter()


Aim = collections.namedtuple("Aim", "text is_met")


def faster(peer, times):
    """An aim: so many times faster than a peer."""
    return Aim(f"{times:g} times {peer}", lambda row: peer in row.ratio and row.ratio[peer] >= times)


def at_most(value, unit):
    """An aim: a figure of ours that is not passed."""
    return Aim(f"at most {value:g} {unit}", lambda row: row.figures["motet"]["median"] <= value)


class Row:
    """One case: what each tool needed (or reached), and how ours compares."""

    def __init__(self, case, unit, values, more_is_better=False, aims=()):
        self.case, self.unit, self.more_is_better = case, unit, more_is_better
        self.figures = {
            tool: {
                "median": statistics.median(figures),
                "min": min(figures),
                "max": max(figures),
                "runs": len(figures),
            }
            for tool, figures in values.items()
            if figures
        }
        ours = self.figures["motet"]["median"]
        self.ratio = {}
        for tool, figures in self.figures.items():
            theirs = figures["median"]
            if tool != "motet" and ours and theirs:
                self.ratio[tool] = ours / theirs if more_is_better else theirs / ours
        known = {aim.text: aim.is_met(self) for aim in aims if aim is not None}
        self.aims = {text: met for text, met in known.items() if self.is_measured(text)}

    def is_measured(self, text):
        """An aim against a peer that is not there is neither met nor missed."""
        return text.startswith("at most") or any(text.endswith(tool) for tool in self.ratio)

    def record(self):
        return {
            "case": self.case,
            "unit": self.unit,
            "more_is_better": self.more_is_better,
            "tools": self.figures,
            "ratio": self.ratio,
            "aims": self.aims,
        }


class Board:
    """The rows so far, and what was left out and why."""

    def __init__(self, rounds, say):
        self.rounds, self.say = rounds, say
        self.rows, self.left_out = [], []

    def paired(self, case, tools, rounds=None, unit="ms", factor=1000, aims=(), before=None, after=None, warm=True):
        """Runs each tool's act once a round, in turn; `before` and `after` get the tool's name and aren't timed.

        Where `warm`, a first round of all is not counted: files of every tool are in memory then.
        """
        values = {tool: [] for tool in tools}
        for number in range((rounds or self.rounds) + warm):
            for tool, act in tools.items():
                if before:
                    before(tool)
                figure = act()
                if after:
                    after(tool)
                if number >= warm:
                    values[tool].append(figure * factor)
        return self.row(case, values, unit=unit, aims=aims)

    def row(self, case, values, unit="ms", more_is_better=False, aims=()):
        row = Row(case, unit, values, more_is_better, aims)
        self.rows.append(row)
        self.say(row)
        return row

    def leave_out(self, what, why):
        self.left_out.append(f"{what}: {why}")
