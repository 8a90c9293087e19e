import { readdirSync, readFileSync } from "node:fs";

/** Linux's clock ticks a second, the same on every platform that Node runs on. */
const TICKS_PER_SECOND = 100;

/** CPU seconds, user and system, that a process has used so far, from /proc. */
export function cpuSeconds(pid: number): number {
  const fields = statOf(pid);
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** CPU seconds that the processes of a group have used so far: a server that its starter's children run. */
export function groupCpuSeconds(leader: number): number {
  let seconds = 0;
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (Number(statOf(Number(name))[2]) === leader) seconds += cpuSeconds(Number(name));
    } catch {
      // It has ended since the directory was read.
    }
  }
  return seconds;
}

/** The fields of /proc/PID/stat from the state on, which come after the name of the program. */
function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** The most resident memory that a process has had, in MB. */
export function peakMemoryMb(pid: number): number {
  const kilobytes = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes) / 1024;
}

/** A stretch of `monotonicMicros`. */
export type Window = { fromMicros: number; toMicros: number };

/** By the system's monotonic clock, which all processes and the times in V8's profiles go by. */
export function monotonicMicros(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}
