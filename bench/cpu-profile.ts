import type { Window } from "./process-usage.ts";

/** V8's `.cpuprofile`, as far as it is read here. Times are microseconds of the monotonic clock. */
export type CpuProfile = {
  nodes: readonly ProfileNode[];
  startTime: number;
  /** The node that each sample was in, by its id. */
  samples: readonly number[];
  /** From the sample before to each. */
  timeDeltas: readonly number[];
};

type ProfileNode = {
  id: number;
  callFrame: { functionName: string; url: string; lineNumber: number };
  children?: readonly number[];
};

/** A function and all that it called there, as flame graphs take it; microseconds. */
export type Frame = { name: string; value: number; children: Frame[] };

export type ProfileSummary = {
  /** Microseconds that were sampled. */
  totalMicros: number;
  /** By their own time, the longest first; without idle time and the garbage collector. */
  functions: { name: string; selfMicros: number }[];
  garbageMicros: number;
  idleMicros: number;
};

const GARBAGE = "(garbage collector)";
const IDLE = "(idle)";
/** What V8 names in brackets is no function, but this stands for native code that it can't name. */
const PROGRAM = "(program)";

/** The time of each node itself, by its id, of the samples in the window. */
export function selfTimes(
  { samples, timeDeltas, startTime }: CpuProfile,
  window: Window,
): Map<number, number> {
  const times = new Map<number, number>();
  let atMicros = startTime;
  samples.forEach((id, index) => {
    // A sample stands for the time until the next one.
    atMicros += timeDeltas[index]!;
    const micros = timeDeltas[index + 1] ?? 0;
    if (atMicros < window.fromMicros || atMicros >= window.toMicros) return;
    times.set(id, (times.get(id) ?? 0) + micros);
  });
  return times;
}

/** @param root what is left out of the names of files, such as `file:///home/me/keyline/`. */
export function summarise(profile: CpuProfile, window: Window, root: string): ProfileSummary {
  const times = selfTimes(profile, window);
  const byName = new Map<string, number>();
  let totalMicros = 0;
  for (const node of profile.nodes) {
    const micros = times.get(node.id) ?? 0;
    totalMicros += micros;
    const name = nameOf(node, root);
    if (micros > 0) byName.set(name, (byName.get(name) ?? 0) + micros);
  }
  const garbageMicros = byName.get(GARBAGE) ?? 0;
  const idleMicros = byName.get(IDLE) ?? 0;
  const functions = [...byName]
    .filter(([name]) => name !== GARBAGE && name !== IDLE)
    .map(([name, selfMicros]) => ({ name, selfMicros }))
    .sort((a, b) => b.selfMicros - a.selfMicros);
  return { totalMicros, functions, garbageMicros, idleMicros };
}

/** The calls as a tree, without those that were in no sample. */
export function callTree(profile: CpuProfile, window: Window, root: string): Frame {
  const times = selfTimes(profile, window);
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const frameOf = (node: ProfileNode): Frame => {
    const children = (node.children ?? [])
      .map((id) => frameOf(nodes.get(id)!))
      .filter(({ value }) => value > 0);
    const own = times.get(node.id) ?? 0;
    return {
      name: nameOf(node, root),
      value: children.reduce((sum, { value }) => sum + value, own),
      children,
    };
  };
  // V8 has the root first.
  return frameOf(profile.nodes[0]!);
}

function nameOf({ callFrame: { functionName, url, lineNumber } }: ProfileNode, root: string): string {
  const name = functionName || "(anonymous)";
  if (url === "" || name === PROGRAM) return name;
  return `${name} ${url.replace(root, "")}:${lineNumber + 1}`;
}
