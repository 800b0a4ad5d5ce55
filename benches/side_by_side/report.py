"""From rounds to medians of ratios, for people and for programs."""

import json
import os
import pathlib
import platform
import statistics
import subprocess
import time


def summary(workload, rounds):
    """`rounds`: target → round → measurement. Ratios are taken inside a round, where all had the same machine."""
    result = {}
    for name, measured in rounds.items():
        values = [measurement[workload.metric] for measurement in measured.values()]
        entry = {
            workload.metric: statistics.median(values),
            "spread": [min(values), max(values)],
            "rounds": [measured[number] for number in sorted(measured)],
        }
        for field in ("cpu_us_per_op", "machine_us_per_op", "p99_us", "foreign"):
            known = [measurement[field] for measurement in measured.values() if field in measurement]
            if known:
                entry[field] = statistics.median(known)
        for base in ("direct", "pgbouncer", "haproxy"):
            if base != name and base in rounds:
                entry[f"x_{base}"] = ratios(measured, rounds[base], workload.metric)
                entry[f"cpu_x_{base}"] = ratios(measured, rounds[base], "cpu_us_per_op")
        if workload.metric == "p50_us" and name != "direct" and "direct" in rounds:
            added = [measured[n]["p50_us"] - rounds["direct"][n]["p50_us"] for n in measured if n in rounds["direct"]]
            entry["added_us"] = statistics.median(added)
        result[name] = {key: value for key, value in entry.items() if value is not None}
    return result


def ratios(one, other, field):
    pairs = [
        one[number][field] / other[number][field]
        for number in one
        if number in other and field in one[number] and other[number].get(field)
    ]
    if not pairs:
        return None
    return {"median": statistics.median(pairs), "min": min(pairs), "max": max(pairs)}


def table(workload, entries):
    """Lines for a terminal."""
    better = "lower" if workload.lower_is_better else "higher"
    peers = [name for name in ("pgbouncer", "haproxy") if name in entries]
    versus = "".join(f"{'x ' + name:>13}" for name in peers)
    lines = [f"\n{workload.name}: {workload.says} ({workload.metric}, {better} is better)"]
    lines.append(
        f"  {'target':<16}{'x direct [min..max]':>25}{versus}{workload.metric:>17}"
        f"{'CPU us/' + workload.per:>19}{versus}{'others':>8}"
    )

    def medians(entry, prefix):
        keys = [f"{prefix}{name}" for name in peers]
        return "".join(f"{entry[key]['median']:>13.2f}" if key in entry else f"{'-':>13}" for key in keys)

    for name, entry in entries.items():
        direct = entry.get("x_direct")
        spread = f"{direct['median']:.3f} [{direct['min']:.3f}..{direct['max']:.3f}]" if direct else "1"
        cpu = f"{entry['cpu_us_per_op']:.1f}" if "cpu_us_per_op" in entry else "-"
        note = f"  {entry['added_us']:+.0f} us, p99 {entry['p99_us']:.0f}" if "added_us" in entry else ""
        lines.append(
            f"  {name:<16}{spread:>25}{medians(entry, 'x_')}{entry[workload.metric]:>17.1f}{cpu:>19}"
            f"{medians(entry, 'cpu_x_')}{entry.get('foreign', 0):>8.0%}{note}"
        )
    return "\n".join(lines)


def machine(scratch):
    """What the numbers belong to."""
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = pathlib.Path("/proc/meminfo").read_text().splitlines()[0].split()[1]
    disk = first_line(["findmnt", "-n", "-o", "FSTYPE,SOURCE", "-T", str(scratch)])
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_mib": int(memory) // 1024,
        "kernel": platform.release(),
        "audit_log_disk": disk,
        "load_before": os.getloadavg()[0],
    }


def versions(binary):
    """Who takes part beside the servers."""
    return {
        "pgbouncer": first_line(["/usr/sbin/pgbouncer", "--version"]),
        "haproxy": first_line(["/usr/sbin/haproxy", "-v"]),
        "weir": first_line([str(binary), "--version"]),
        "commit": first_line(["git", "-C", str(pathlib.Path(__file__).parent), "describe", "--always", "--dirty"]),
    }


def first_line(command):
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return (done.stdout or done.stderr).strip().split("\n")[0] or "unknown"


def write(path, report):
    path.parent.mkdir(parents=True, exist_ok=True)
    report["finished"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    path.write_text(json.dumps(report, indent=1) + "\n")
