"""Git, as far as it keeps runs: revisions, DVC's experiments, and files as they were then. Only reads."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seedbed.errors import MachineError, nearest

EXPERIMENTS = "refs/exps"  # refs/exps/<2 letters>/<the other 38 of the commit that it began with>/<name>
NAMED_REFS = ("refs/heads", "refs/tags", "refs/remotes")
OURS = ("exec", "stash", "celery", "apply", "temp")  # what DVC keeps beside experiments
FIELDS = "%H%x00%h%x00%cI%x00%s"


@dataclass(frozen=True)
class Commit:
    """A commit, as far as a table shows it."""

    sha: str
    short: str
    date: str  # ISO 8601
    subject: str


@dataclass(frozen=True)
class Experiment:
    """An experiment of DVC: a commit that is on no branch."""

    name: str
    sha: str
    baseline: str  # the commit that it began with


class Repository:
    """The git repository that a project lies in, at its root or below."""

    def __init__(self, root: Path) -> None:
        """root: the project's folder."""
        self.root = root
        if self._run("rev-parse", "--git-dir") is None:
            raise MachineError(str(root.absolute()), found="no git repository", expected="one that keeps runs", do="name folders instead")

    def resolve(self, name: str) -> str | None:
        """The commit that a revision or an experiment names; None where none does.

        A revision goes before an experiment of the same name, as it does for DVC. Of experiments of the same name, that which began
        with the present commit is meant.
        """
        found = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if found is not None:
            return found.strip()
        named = [one for one in self.experiments() if one.name == name]
        if len(named) > 1:
            head = self.resolve("HEAD")
            named = [one for one in named if one.baseline == head] or named
        if len(named) > 1:
            commits = ", ".join(one.sha[:7] for one in named)
            raise MachineError(name, found=f"experiments of that name: {commits}", expected="one", do="name a commit")
        return named[0].sha if named else None

    def require(self, name: str) -> str:
        """The commit that a revision or an experiment names."""
        sha = self.resolve(name)
        if sha is None:
            known = [*self._named_refs(), *(one.name for one in self.experiments())]
            expected = f"a folder, an experiment of DVC or a revision of git{nearest(name, known)}"
            raise MachineError(name, found="nothing of that name", expected=expected, do="`seedbed runs` lists some")
        return sha

    def read(self, sha: str, file: str) -> str | None:
        """A file of the project as it was; None where there was none.

        file: relative to the project's folder.
        """
        return self._run("cat-file", "blob", f"{sha}:./{file}")

    def experiments(self) -> list[Experiment]:
        """All experiments, the latest first."""
        listed = self._run("for-each-ref", "--sort=-committerdate", "--format=%(refname) %(objectname)", EXPERIMENTS) or ""
        found = []
        for line in listed.splitlines():
            ref, _, sha = line.partition(" ")
            parts = ref.removeprefix(f"{EXPERIMENTS}/").split("/", maxsplit=2)
            if len(parts) == 3 and parts[0] not in OURS:
                found.append(Experiment(parts[2], sha, parts[0] + parts[1]))
        return found

    def history(self, files: Sequence[str], *, number: int) -> list[Commit]:
        """The last commits up to the present one that changed some of these files, the latest first."""
        asked = ("log", f"--max-count={number}", f"--format={FIELDS}", "HEAD", "--", *files)
        return [_commit(line) for line in (self._run(*asked) or "").splitlines()]

    def describe(self, sha: str) -> Commit:
        """A commit, as far as a table shows it."""
        return _commit((self._run("log", "--max-count=1", f"--format={FIELDS}", sha) or "").strip("\n"))

    def _named_refs(self) -> list[str]:
        return (self._run("for-each-ref", "--format=%(refname:short)", *NAMED_REFS) or "").split()

    def _run(self, *arguments: str) -> str | None:
        """What git prints; None where it fails."""
        try:
            environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # not even the index is refreshed
            command = ["git", *arguments]
            done = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, check=False)  # noqa: S603 (our own arguments)
        except FileNotFoundError:
            raise MachineError("git", found="no such program", expected="it to read revisions with", do="install it") from None
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def _commit(line: str) -> Commit:
    sha, short, date, subject = line.split("\0")
    return Commit(sha, short, date, subject)
