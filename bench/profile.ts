/**
 * `npm run profile`: where the service process spends its time while it applies a backlog on real servers, or with
 * `--gateway` the gateway's under batches of 100 calls. Writes V8's own profile and a flame graph, and prints what
 * takes most. Of both it shows the stretch that the benches measure, without the process's start.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Command } from "commander";
import { serviceNodeOptions } from "../deploy/local/node-options.ts";
import { numberArgument } from "../test/support/number-argument.ts";
import { startRealStack } from "../test/support/real-stack.ts";
import { type CpuProfile, callTree, summarise } from "./cpu-profile.ts";
import { define, shop } from "./definitions.ts";
import { measureEndToEnd, measureRawDrain } from "./end-to-end.ts";
import { flameGraphPage } from "./flame-graph.ts";
import { bodiesOf, load, serverOf, startServer } from "./gateway-load.ts";
import { holdSubscription } from "./held-subscription.ts";
import { fillBacklog } from "./prefill.ts";
import { monotonicMicros, type Window } from "./process-usage.ts";
import { evenly } from "./updates.ts";

const count = numberArgument(1, 999_999_999);
const options = new Command("npm run profile --")
  .description("Profiles the service on a backlog, or the gateway, and draws a flame graph.")
  .option("--updates <n>", "updates in the backlog", count, 200_000)
  .option("--users <n>", "users that they are spread over", count, 100_000)
  .option("--definitions", "with 20 attributes and 50 audiences")
  .option("--gateway", "the gateway instead, with 100 calls in a request")
  .option("--seconds <n>", "of the gateway under load", numberArgument(1, 600), 15)
  .option("--out <dir>", "where the files are written", ".profile")
  .parse()
  .opts<{
    updates: number;
    users: number;
    definitions?: true;
    gateway?: true;
    seconds: number;
    out: string;
  }>();

const PARTITIONS = 4;
const CALLS = 100;
const WARM_UP_MS = 3_000;
const PRINTED = 20;
const root = pathToFileURL(`${process.cwd()}/`).href;

/** What Node writes, and of which stretch the figures are. */
type Profiled = { name: "service" | "gateway"; window: Window };

mkdirSync(options.out, { recursive: true });
tell(options.gateway ? await profileGateway() : await profileService());

async function profileService(): Promise<Profiled> {
  const stack = await startRealStack({ partitions: PARTITIONS, tuning: "full", report: console.log });
  try {
    const subscriptions = ["raw-warm-up", "profiled"] as const;
    const [letRawGo, letGo] = [
      await holdSubscription(stack, subscriptions[0]),
      await holdSubscription(stack, subscriptions[1]),
    ];
    await fillBacklog(stack.environment, { updates: options.updates, userOf: evenly(options.users) });
    if (options.definitions) await define(stack.environment.REDIS_URL!, "profiled:", "bench", shop);
    console.log("draining raw, to warm the broker up");
    await measureRawDrain(stack, subscriptions[0], options.updates, letRawGo);
    console.log("applying");
    const environment = { NODE_OPTIONS: [serviceNodeOptions, ...profileOptions("service")].join(" ") };
    const applied = await measureEndToEnd(stack, subscriptions[1], options.updates, letGo, environment);
    const [perSecond, micros] = [applied.appliedPerSecond, applied.cpuMicros].map(Math.round);
    console.log(`${perSecond} updates/s, ${micros} us CPU each, with the profiler's own`);
    return { name: "service", window: applied.window };
  } finally {
    await stack.close();
  }
}

async function profileGateway(): Promise<Profiled> {
  const child = startServer("gateway", profileOptions("gateway"));
  const exited = new Promise((resolve) => child.once("exit", resolve));
  try {
    const server = await serverOf(child);
    const bodies = bodiesOf(CALLS);
    await load(server, bodies, WARM_UP_MS);
    const fromMicros = monotonicMicros();
    const answers = await load(server, bodies, options.seconds * 1_000);
    const window = { fromMicros, toMicros: monotonicMicros() };
    const perSecond = (answers.length * CALLS) / ((window.toMicros - fromMicros) / 1e6);
    console.log(`${Math.round(perSecond)} events/s, in requests of ${CALLS}`);
    return { name: "gateway", window };
  } finally {
    child.kill("SIGTERM");
    await exited;
  }
}

function profileOptions(name: Profiled["name"]): string[] {
  return ["--cpu-prof", `--cpu-prof-dir=${options.out}`, `--cpu-prof-name=${name}.cpuprofile`];
}

function tell({ name, window }: Profiled): void {
  const file = join(options.out, `${name}.cpuprofile`);
  const profile = JSON.parse(readFileSync(file, "utf8")) as CpuProfile;
  const { totalMicros, functions, garbageMicros, idleMicros } = summarise(profile, window, root);
  if (totalMicros === 0) throw new Error(`${file} has no sample of the stretch that was measured`);
  const share = (micros: number) => `${((100 * micros) / totalMicros).toFixed(1).padStart(5)}%`;
  console.log(`\nOf ${(totalMicros / 1e6).toFixed(1)} s of the main thread:`);
  console.log(`${share(garbageMicros)}  garbage collector`);
  console.log(`${share(idleMicros)}  idle`);
  for (const { name: of, selfMicros } of functions.slice(0, PRINTED))
    console.log(`${share(selfMicros)}  ${of}`);
  const graph = join(options.out, `${name}.html`);
  writeFileSync(graph, flameGraphPage(`Keyline, ${name}`, callTree(profile, window, root)));
  console.log(`\n${file} (opens in Chrome's and VS Code's profilers)\n${graph} (flame graph)`);
}
