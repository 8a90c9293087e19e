/**
 * `npm run bench:apply`: what definitions cost in process, without brokers and stores: a record is read, one update
 * folded on it, attributes and audiences evaluated, and the record written, for one user after another.
 */
import { Command } from "commander";
import { apply } from "../shared/domain/apply.ts";
import { type CompiledDefinitions, NO_DEFINITIONS } from "../shared/domain/definitions/compile.ts";
import { type Profile, withoutPending } from "../shared/domain/profile.ts";
import { decodeProfile, encodeProfile } from "../shared/domain/profile-record.ts";
import { numberArgument } from "../test/support/number-argument.ts";
import { attributesForBench, audiencesForBench } from "./definitions.ts";
import { createFigures } from "./figures.ts";
import { compiled, HISTORY, historyOf, lastUpdate, limits, START_MS, updateOf } from "./shop-history.ts";

const count = numberArgument(1, 100_000_000);
const options = new Command("npm run bench:apply --")
  .description("Measures apply with calculated attributes and audiences, in process, on one core.")
  .option("--json <file>", "write every figure with its unit to a file")
  .option("--users <n>", "users, each with some history", numberArgument(50, 100_000_000), 2_000)
  .option("--updates <n>", "updates for each repeat", count, 20_000)
  .parse()
  .opts<{ json?: string; users: number; updates: number }>();

const REPEATS = 20;
/** Fewer than there are users, or one would be read twice before it is written. */
const USERS_AT_ONCE = 50;

const figures = createFigures();
const none = measure(NO_DEFINITIONS);
const defined = measure(compiled(attributesForBench(20), audiencesForBench(50)));
figures.add("apply.undefined", none.perSecond, "updates/s");
figures.add("apply.20attributes50audiences", defined.perSecond, "updates/s");
figures.add("apply.20attributes50audiences.fold", defined.foldPerSecond, "updates/s");
figures.add("apply.bytesPerUser", defined.bytesPerUser, "bytes");
const few = measure(compiled(attributesForBench(20), concerned(5, 0)));
const many = measure(compiled(attributesForBench(20), concerned(5, 995)));
figures.add("apply.5of5audiences", few.foldPerSecond, "updates/s");
figures.add("apply.5of1000audiences", many.foldPerSecond, "updates/s");
figures.add("apply.1000to5", few.foldPerSecond / many.foldPerSecond, "times the cost");
const fewNow = measure(compiled(attributesForBench(20), withNow(5)));
const manyNow = measure(compiled(attributesForBench(20), withNow(1_000)));
figures.add("apply.now1000to5", fewNow.foldPerSecond / manyNow.foldPerSecond, "times the cost");
console.log();
figures.print();
if (options.json !== undefined) figures.writeJson(options.json);

/** Five audiences that each of the measured updates concerns, and others that none does. */
function concerned(those: number, others: number): Record<string, { rule: string }> {
  const of = (name: string, length: number, rule: (n: number) => string) =>
    Array.from({ length }, (_, n) => [`${name}_${n}`, { rule: rule(n) }] as const);
  return Object.fromEntries([
    // No comparison with a fixed number: every change of the attribute has them evaluated.
    ...of("concerned", those, (n) => `attribute_0 % 7 == ${n}`),
    ...of("other", others, (n) => `plan == 'plan-${n}' && city != 'x'`),
  ]);
}

/** Audiences that time alone changes, later than the updates. */
function withNow(count: number): Record<string, { rule: string }> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, n) => [
      `until_${n}`,
      { rule: `now - timestamp("2027-01-01T00:00:00Z") > duration("${n}h")` },
    ]),
  );
}

/** The fastest of many short repeats, as other work on the machine only ever slows it. */
function measure(definitions: CompiledDefinitions) {
  const records = Array.from({ length: options.users }, (_, user) =>
    encodeProfile(historyOf(user, definitions), lastUpdate),
  );
  const updates = Array.from({ length: options.updates }, (_, n) => [
    updateOf(n % options.users, HISTORY + 1 + Math.floor(n / options.users)),
  ]);
  const fold = (profile: Profile, n: number) =>
    withoutPending(apply(profile, updates[n]!, limits, START_MS, definitions).profile);
  let foldMs = Number.POSITIVE_INFINITY;
  let allMs = Number.POSITIVE_INFINITY;
  for (let repeat = 0; repeat < REPEATS; repeat += 1) {
    foldMs = Math.min(foldMs, foldTime([...records], fold));
    const texts = [...records];
    const all = timed(0, options.updates, (n) => {
      const user = n % options.users;
      texts[user] = encodeProfile(fold(decodeProfile(texts[user]!).profile, n), lastUpdate);
    });
    allMs = Math.min(allMs, all);
  }
  const bytes = records.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  return {
    foldPerSecond: (options.updates / foldMs) * 1_000,
    perSecond: (options.updates / allMs) * 1_000,
    bytesPerUser: bytes / records.length,
  };
}

/**
 * Of folding alone. On profiles that have just been read, as in the service: those of all users at once do not fit in
 * a processor's cache, and waiting for memory would be most of it.
 */
function foldTime(texts: string[], fold: (profile: Profile, n: number) => Profile): number {
  let totalMs = 0;
  for (let from = 0; from < options.updates; from += USERS_AT_ONCE) {
    const to = Math.min(from + USERS_AT_ONCE, options.updates);
    const profiles: Profile[] = [];
    for (let n = from; n < to; n += 1) profiles.push(decodeProfile(texts[n % options.users]!).profile);
    totalMs += timed(from, to, (n) => {
      profiles[n - from] = fold(profiles[n - from]!, n);
    });
    for (let n = from; n < to; n += 1)
      texts[n % options.users] = encodeProfile(profiles[n - from]!, lastUpdate);
  }
  return totalMs;
}

/** Milliseconds of CPU, the garbage collector's included: other processes do not count. */
function timed(from: number, to: number, work: (n: number) => void): number {
  const before = process.cpuUsage();
  for (let n = from; n < to; n += 1) work(n);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}
