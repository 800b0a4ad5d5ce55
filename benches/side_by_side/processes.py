"""What processes cost: processor time, memory, and who else was busy meanwhile. Linux only, read from /proc."""

import os
import pathlib

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def children_of():
    """Children of each process."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    return children


def tree(root):
    """A process and all below it."""
    children, found, waiting = children_of(), set(), [root]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting.extend(children.get(pid, []))
    return found


def cpu_seconds(root):
    """Processor time of a process, of all below it, and of those below it that have ended."""
    ticks = 0
    for pid in tree(root):
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        # utime, stime, and the same of children that were waited for.
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS_PER_SECOND


def memory_kib(root):
    """Memory of a process and all below it; what is shared counts in part (PSS)."""
    kib = 0
    for pid in tree(root):
        try:
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kib += int(line.split()[1])
        except OSError:
            continue
    return kib


def machine_busy_seconds():
    """Processor time that the whole machine has spent on anything."""
    first = pathlib.Path("/proc/stat").read_text().splitlines()[0]
    user, nice, system, _idle, _wait, interrupts, soft, steal = (int(field) for field in first.split()[1:9])
    return (user + nice + system + interrupts + soft + steal) / TICKS_PER_SECOND


class CpuGroup:
    """All of ours in one group of the scheduler.

    Linux gives every login session an equal share of the processor (autogroup), and every backend of PostgreSQL is a
    session of its own: a proxy in one process would stand as one against sixty-four. Inside one group all are equal.
    Where the group cannot be had (no root, no controller), `active` is false and the report says so.
    """

    def __init__(self, weight):
        self.folder = None
        self.home = None
        for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if "cpu" in controllers.split(","):
                root = pathlib.Path("/sys/fs/cgroup") / controllers
                root = root if root.exists() else pathlib.Path("/sys/fs/cgroup/cpu")
                self._enter(root, root / path.lstrip("/"), "cpu.shares", 1024 * weight)
            elif controllers == "" and not self.active:
                root = pathlib.Path("/sys/fs/cgroup")
                self._enter(root, root / path.lstrip("/"), "cpu.weight", min(100 * weight, 10_000))

    @property
    def active(self):
        return self.folder is not None

    def _enter(self, root, home, knob, value):
        folder = root / f"weir-bench-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            return
        try:
            (folder / knob).write_text(str(value))
            (folder / "cgroup.procs").write_text(str(os.getpid()))
        except OSError:
            folder.rmdir()
            return
        self.folder, self.home = folder, home

    def leave(self):
        """Goes back; the group ends with the last of its processes."""
        if self.folder is None:
            return
        try:
            (self.home / "cgroup.procs").write_text(str(os.getpid()))
            self.folder.rmdir()
        except OSError:
            pass
        self.folder = None
