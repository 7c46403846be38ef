"""A training as several processes that were started from outside, perhaps on several machines: by torchrun, or by SLURM's srun.

The first process runs the stage as it would alone: it alone takes the lock, looks into the store, writes checkpoints and publishes. The
others wait for its word. If it comes to a training, it says which; they run the stage up to that training, join it, and leave. If there is
nothing to share, they leave at once. Whichever process is the first to fail says why, and all end.

Words are exchanged through the store by which processes of torch find each other. It needs no GPU, and who waits for a word can be
interrupted. Fabric's own detection is not asked: it takes the script of a SLURM job for one process of several, and a step of an
interactive job for a program alone.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn

from seedbed.errors import USER_ERROR, MachineError, SeedbedError, TrainingError
from seedbed.run import fingerprint

WORD, HEARD, ENDED = "seedbed/word", "seedbed/heard", "seedbed/ended"  # the first process's word, who has heard it, and who has failed
NOTHING, FAILED = "nothing", "failed"  # words; any other says which training it is
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Launch:
    """The processes that were started together, and which of them this one is."""

    program: str  # that started them
    rank: int
    size: int  # processes
    local_size: int  # those on this machine
    nodes: int  # machines
    joined_trainings: list[str] = field(init=False, default_factory=list)

    @property
    def leads(self) -> bool:
        """Whether this is the first process."""
        return self.rank == 0

    @cached_property
    def environment(self) -> Any:
        """How Fabric reads the same of its environment."""
        from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
        from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

        return TorchElasticEnvironment() if self.program == "torchrun" else SLURMEnvironment()

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Run a stage that trains in this block: as the first process; or as another one, which gets there only to join a training."""
        self._check_division()
        if not self.leads:
            self._await_training()
            with contextlib.redirect_stderr(io.StringIO()):  # the first process says the same
                yield
            return
        assert self._board
        try:
            yield
        except BaseException:
            with contextlib.suppress(RuntimeError):  # torchrun, which keeps the store, has ended before
                self._say(FAILED)
            raise
        if self._say(NOTHING):
            self._wait_until_heard()

    def agree(self, *, training: str, device: str) -> None:
        """Let the other processes join a training, and wait until all are there; or join it, if it is the same.

        training: its identity.
        """
        if self.leads:
            self._say(json.dumps({"sources": fingerprint.startup_digest(), "training": training, "device": device}))
            self._wait_until_heard()
            return
        said = self._read_word()
        if said["device"] != device:
            raise MachineError(self._me, found=device, expected=f"{said['device']}, as in process 0", do="use machines of one kind")
        if said["training"] != training:
            raise self._differs()
        self._board.add(HEARD, 1)
        self.joined_trainings.append(training)

    def leave(self) -> NoReturn:
        """End a process that has joined a training; an error if it found none."""
        if not self.joined_trainings:
            raise self._differs()
        sys.exit(0)

    def check_gpus(self, count: int) -> None:
        """Refuse to let processes share a GPU.

        count: that this process sees.
        """
        if count < self.local_size:
            raise MachineError(
                self._me,
                found=f"{count} visible GPUs for {self.local_size} processes on this machine",
                expected="one for each, all of them visible to all",
                do="start fewer, or ask SLURM for --gpus-per-node instead of --gpus-per-task",
            )

    # Ends.

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Let others know, who may wait for this process, if this block ends with an error that nobody foresaw."""
        try:
            yield
        except Exception:  # any, because it is raised again; ends that are meant are none
            self._is_first_to_end()
            raise

    def end(self, line: str, status: int) -> NoReturn:
        """End this process, which has failed. The line is printed by the first of all processes to fail.

        At once, because a process that has lost others may wait for them in vain when it ends as usual.
        """
        if self._is_first_to_end():
            print(line, file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    def explain(self, error: BaseException, name: str) -> SeedbedError | None:
        """An error by which torch says that another process is gone, as one line; None for any other error.

        name: of the stage.
        """
        import torch.distributed as torch_distributed  # which has been imported, else nothing would have failed

        lost = isinstance(error, torch_distributed.DistError) or (isinstance(error, RuntimeError) and "gloo/transport" in str(error))
        return self._lost(name) if lost else None

    def _lost(self, name: str) -> SeedbedError:
        return TrainingError(name, found="that another of its processes has ended", expected="all to go on", do="run it again to resume")

    def _is_first_to_end(self) -> bool:
        if "_board" not in vars(self):  # it has met no other yet
            return True
        try:
            return bool(self._board.add(ENDED, 1) == 1)
        except RuntimeError:  # the first process, which kept the store, has ended before
            return False

    # Words.

    @cached_property
    def _board(self) -> Any:
        """Torch's store: of the first process, or of torchrun itself."""
        from torch.distributed.rendezvous import rendezvous

        address, port = self.environment.main_address, str(self.environment.main_port)
        os.environ |= {"MASTER_ADDR": address, "MASTER_PORT": port}
        try:
            store, *_ = next(rendezvous("env://", self.rank, self.size))
        except RuntimeError as error:
            raise MachineError(
                self._me,
                found=f"no meeting at {address}, port {port}: {str(error).splitlines()[0]}",
                expected="all processes to find each other there",
                do="see MASTER_ADDR and MASTER_PORT in docs/scale.md",
            ) from error
        return store

    def _say(self, word: str) -> bool:
        """As the first process: say a word, unless one was said before."""
        if self._board.check([WORD]):
            return False
        self._board.set(WORD, word)
        return True

    def _wait_until_heard(self) -> None:
        while self._board.add(HEARD, 0) < self.size - 1:
            if self._board.add(ENDED, 0):
                raise self._lost(self._me)
            time.sleep(POLL_SECONDS)

    def _await_training(self) -> None:
        """As another process: wait for a training. Ends this process if none comes."""
        try:
            while not self._board.check([WORD]):
                time.sleep(POLL_SECONDS)
            word = self._board.get(WORD).decode()
            if word == NOTHING:
                self._board.add(HEARD, 1)
        except RuntimeError:  # the first process has ended, and said why
            word = FAILED
        if word in (NOTHING, FAILED):
            sys.exit(0 if word == NOTHING else USER_ERROR)
        fingerprint.check_sources(self._read_word()["sources"])

    def _read_word(self) -> dict[str, str]:
        said: dict[str, str] = json.loads(self._board.get(WORD))
        return said

    # Errors.

    @property
    def _me(self) -> str:
        return f"process {self.rank} of {self.size}, on {socket.gethostname()}"

    def _differs(self) -> MachineError:
        return MachineError(
            self._me,
            found="another training than process 0 has begun",
            expected="the same parameters, data, code and packages",
            do="let all machines see the same project and the same packages, and run it again",
        )

    def _check_division(self) -> None:
        """Refuse numbers of processes that differ between machines."""
        if self.local_size * self.nodes != self.size:
            if not self.leads:
                sys.exit(USER_ERROR)
            raise MachineError(
                self.program,
                found=f"{self.size} processes on {self.nodes} machines, of which one has {self.local_size or 'an unknown number'}",
                expected="as many on each",
                do="start it with " + ("--nodes and --ntasks-per-node" if self.program == "srun" else "one --nproc-per-node"),
            )


def find() -> Launch | None:
    """The processes that this one was started with; None where it is alone.

    Read from the environment, since Fabric takes seconds to import, and per-image stages do without it.
    """

    def read(name: str) -> int:
        value = os.environ.get(name, "")
        return int(value) if value.isdecimal() else 0

    if "TORCHELASTIC_RUN_ID" in os.environ:
        return Launch("torchrun", *map(read, ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE")))
    # The script of a SLURM job has most of these variables; those of a step only srun sets.
    if read("SLURM_STEP_NUM_TASKS") > 1:
        return Launch("srun", *map(read, ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS_PER_NODE", "SLURM_STEP_NUM_NODES")))
    return None
