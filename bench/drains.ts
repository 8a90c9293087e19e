import type { RealStack } from "../test/support/real-stack.ts";
import { define, shop } from "./definitions.ts";
import { type Applied, measureEndToEnd, measureRawDrain } from "./end-to-end.ts";
import { type Figures, median } from "./figures.ts";
import { holdSubscription } from "./held-subscription.ts";
import { fillBacklog } from "./prefill.ts";
import { redisBytesPerUser } from "./redis-bytes.ts";
import { evenly } from "./updates.ts";

type DrainOptions = {
  updates: number;
  users: number;
  rounds: number;
  /** Each update is a message by itself. */
  single: boolean;
  /** The subscription that nobody is connected to while the backlog arrives. */
  away: string;
};

type Raw = Awaited<ReturnType<typeof measureRawDrain>>;
type Round = { raw: Raw; applied: Applied; defined: Applied };

/**
 * The same backlog several times, each by a subscription of its own: raw and applied to warm up (a Java broker compiles
 * itself for minutes), then in turn raw, applied, and applied with definitions, and raw once more, because the
 * machine's speed drifts. All of them are served from the broker's memory, as a service is that was connected when the
 * messages arrived (as long as they fit: 256 MB, ten minutes). Last, applied for a service that was away, which the
 * broker reads from its bookie.
 */
export async function measureDrains(
  on: RealStack,
  options: DrainOptions,
  into: Figures,
): Promise<{ publishedPerSecond: number; appliedPerSecond: number }> {
  const { updates, users, rounds, single, away } = options;
  const numbers = Array.from({ length: rounds }, (_, n) => n + 1);
  const letGo = new Map<string, () => Promise<void>>();
  const kinds = ["raw", "applied", "defined"].flatMap((kind) => numbers.map((n) => `${kind}-${n}`));
  for (const name of ["raw-warm-up", "warm-up-1", "warm-up-2", ...kinds, "raw-last"])
    letGo.set(name, await holdSubscription(on, name));
  await on.subscribe(away);
  const filled = await fillBacklog(on.environment, { updates, userOf: evenly(users), single });
  into.add("prefill.meanSize", filled.meanBytes, "bytes");
  into.add("prefill.publishedPerSecond", filled.perSecond, "updates/s");
  const raw = (name: string) => measureRawDrain(on, name, updates, letGo.get(name)!);
  const applied = (name: string) => measureEndToEnd(on, name, updates, letGo.get(name)!);
  console.log("warming up");
  await raw("raw-warm-up");
  await applied("warm-up-1");
  await applied("warm-up-2");
  const measured: Round[] = [];
  for (const n of numbers) {
    console.log(`round ${n}: raw, applied, applied with 20 attributes and 50 audiences`);
    await define(on.environment.REDIS_URL!, `defined-${n}:`, "bench", shop);
    const rawBefore = await raw(`raw-${n}`);
    // Each of the two comes first in turn.
    const first = n % 2 === 0 ? await applied(`defined-${n}`) : undefined;
    const round = {
      raw: rawBefore,
      applied: await applied(`applied-${n}`),
      defined: first ?? (await applied(`defined-${n}`)),
    };
    measured.push(round);
    const rates = [round.raw.perSecond, round.applied.appliedPerSecond, round.defined.appliedPerSecond];
    console.log(`  ${rates.map(Math.round).join(", ")} a second`);
  }
  const last = await raw("raw-last");
  console.log("applying what came while nobody was connected");
  const catchUp = await measureEndToEnd(on, away, updates, async () => {});
  addRounds(measured, last, into);
  into.add("defined.redisBytesPerUser", await redisBytesPerUser(on.environment.REDIS_URL!), "bytes");
  into.add("catchUp.appliedPerSecond", catchUp.appliedPerSecond, "updates/s");
  return {
    publishedPerSecond: filled.perSecond,
    appliedPerSecond: median(measured.map((each) => each.applied.appliedPerSecond)),
  };
}

/** Medians; of the ratios also the lowest and the highest of a round. Raw of a round is the mean of before and after. */
function addRounds(rounds: readonly Round[], last: Raw, into: Figures): void {
  const raws = [...rounds.map(({ raw }) => raw), last];
  const rawAround = (n: number) => (raws[n]!.perSecond + raws[n + 1]!.perSecond) / 2;
  const applied = rounds.map((round) => round.applied);
  const defined = rounds.map((round) => round.defined);
  addApplied("endToEnd", applied, into);
  into.add("endToEnd.peakMemory", Math.max(...applied.map(({ peakMemoryMb }) => peakMemoryMb)), "MB");
  into.add("endToEnd.rawPerSecond", median(raws.map(({ perSecond }) => perSecond)), "messages/s");
  into.add("endToEnd.rawCpuMicros", median(raws.map(({ cpuMicros }) => cpuMicros)), "us/message");
  const ratios = applied.map(({ appliedPerSecond }, n) => appliedPerSecond / rawAround(n));
  addSpread("endToEnd.ratio", ratios, "applied/raw", into);
  addApplied("defined", defined, into);
  const definedRatios = defined.map((each, n) => each.appliedPerSecond / applied[n]!.appliedPerSecond);
  addSpread("defined.ratio", definedRatios, "defined/applied", into);
}

/** Medians; CPU of the service, the broker and Redis. */
function addApplied(name: string, runs: readonly Applied[], into: Figures): void {
  into.add(`${name}.appliedPerSecond`, median(runs.map((run) => run.appliedPerSecond)), "updates/s");
  for (const what of ["cpuMicros", "brokerMicros", "redisMicros"] as const)
    into.add(`${name}.${what}`, median(runs.map((run) => run[what])), "us/update");
}

function addSpread(name: string, values: readonly number[], unit: string, into: Figures): void {
  into.add(name, median(values), unit);
  into.add(`${name}Lowest`, Math.min(...values), unit);
  into.add(`${name}Highest`, Math.max(...values), unit);
}
