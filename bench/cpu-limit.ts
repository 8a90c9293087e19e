import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KeylineError } from "../shared/runtime/errors.ts";

/** Control groups of this run's own, in each of which a process gets a share of one core and no more. */
export type CpuLimits = {
  /** Moves a process with all its threads into a group of its own. @param share of one core, such as 0.12 */
  limit(pid: number, share: number): void;
  /** Removes the groups; their processes have to be gone. */
  close(): void;
};

/** Short, so that a process rests for milliseconds at a time; the kernel takes no quota below 1 ms. */
const PERIOD_MICROS = 20_000;
const MIN_QUOTA_MICROS = 1_000;

/** How the kernel's two versions of control groups are told a quota. */
type Hierarchy = { directory: string; writeQuota(group: string, quotaMicros: number): void };

/**
 * @param mounts text in the form of /proc/self/mounts. Default: that.
 * @throws KeylineError `no_cpu_limit` where no control group can be made: not Linux, not root, or a container that may
 * not.
 */
export function openCpuLimits(mounts = mountsOfThisProcess()): CpuLimits {
  const hierarchy = hierarchyIn(mounts);
  const groups: string[] = [];
  const makeGroup = (): string => {
    const group = join(hierarchy.directory, `keyline-bench-${process.pid}-${groups.length}`);
    try {
      mkdirSync(group);
      groups.push(group);
      // So that it is known before anything is measured whether a quota can be set.
      hierarchy.writeQuota(group, PERIOD_MICROS);
    } catch (cause) {
      close();
      throw refusal(`${group}: ${(cause as Error).message}`, cause);
    }
    return group;
  };
  function close(): void {
    for (const group of groups.splice(0)) rmdirSync(group);
  }
  let spare: string | undefined = makeGroup();
  return {
    limit(pid, share) {
      const group = spare ?? makeGroup();
      spare = undefined;
      hierarchy.writeQuota(group, Math.max(MIN_QUOTA_MICROS, Math.round(share * PERIOD_MICROS)));
      writeFileSync(join(group, "cgroup.procs"), String(pid));
    },
    close,
  };
}

function mountsOfThisProcess(): string {
  return existsSync("/proc/self/mounts") ? readFileSync("/proc/self/mounts", "utf8") : "";
}

/** Version 1 where it has the controller `cpu`, since version 2 can't have it as well then. */
function hierarchyIn(mounts: string): Hierarchy {
  const known = mounts.split("\n").map((line) => line.split(" "));
  const first = known.find(
    ([, , type, options = ""]) => type === "cgroup" && options.split(",").includes("cpu"),
  );
  if (first?.[1] !== undefined)
    return {
      directory: first[1],
      writeQuota(group, quotaMicros) {
        writeFileSync(join(group, "cpu.cfs_period_us"), String(PERIOD_MICROS));
        writeFileSync(join(group, "cpu.cfs_quota_us"), String(quotaMicros));
      },
    };
  const second = known.find(([, , type]) => type === "cgroup2")?.[1];
  if (second === undefined) throw refusal("no control groups are mounted");
  return {
    directory: second,
    writeQuota(group, quotaMicros) {
      if (!readdirSync(group).includes("cpu.max"))
        writeFileSync(join(second, "cgroup.subtree_control"), "+cpu");
      writeFileSync(join(group, "cpu.max"), `${quotaMicros} ${PERIOD_MICROS}`);
    },
  };
}

function refusal(why: string, cause?: unknown): KeylineError {
  const message = `CPU time can't be limited here (${why}): it takes Linux, and a root that may make control groups`;
  return new KeylineError("no_cpu_limit", message, { cause });
}
