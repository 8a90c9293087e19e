/** Sends generated requests to a server, most of them broken, and looks at what each is answered and does. */
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import type { FuzzRequest } from "./arbitrary-faults.ts";
import type { Fuzzed, Subject } from "./subject.ts";

export type FuzzReport = {
  inputs: number;
  byStatus: Record<string, number>;
  /** Updates or changes that were taken, each checked. */
  taken: number;
  /** After everything that could be freed was: after the first tenth, and at the end. */
  memoryBytes: { early: number; end: number };
  seconds: number;
  /** What went wrong, with the smallest input that shows it. */
  failure?: string;
};

/** So many more may be kept at the end than after the first tenth: what code and caches grow by. */
export const MAX_GROWTH_BYTES = 16 * 1_048_576;

/** Each has a seed of its own, so that a failure is found again without all that came before. */
export const INPUTS_PER_ROUND = 1_000;
/** A connection costs twenty times what a request without one does. */
const RAW_PER_ROUND = 20;

/**
 * @param seed of the first round; each after it has the next. The same seed and number of inputs send the same.
 * @param onProgress after each round, with the inputs so far.
 */
export async function fuzz<R extends FuzzRequest>(
  fuzzed: Fuzzed<R>,
  { inputs, seed }: { inputs: number; seed: number },
  onProgress: (inputs: number) => void = () => {},
): Promise<FuzzReport> {
  const startedAtMs = performance.now();
  const subject = await fuzzed.open();
  const rounds = Math.ceil(inputs / INPUTS_PER_ROUND);
  let early = 0;
  let failure: string | undefined;
  let sent = 0;
  for (let round = 0; round < rounds && failure === undefined; round += 1) {
    const count = Math.min(INPUTS_PER_ROUND, inputs - sent);
    failure = await runRound(fuzzed, subject, seed + round, count);
    sent += count;
    if (round === Math.floor(rounds / 10)) early = await usedBytes(fuzzed.heldForMs);
    onProgress(sent);
  }
  const end = await usedBytes(fuzzed.heldForMs);
  const { byStatus, taken } = subject.counts();
  await subject.close();
  if (end - early > MAX_GROWTH_BYTES) failure ??= `memory grew from ${early} to ${end} bytes`;
  return {
    inputs: sent,
    byStatus: Object.fromEntries([...byStatus].toSorted(([a], [b]) => a - b)),
    taken,
    memoryBytes: { early, end },
    seconds: (performance.now() - startedAtMs) / 1_000,
    ...(failure === undefined ? {} : { failure }),
  };
}

/** What went wrong, or undefined. */
async function runRound<R extends FuzzRequest>(
  { name, requests, bytes }: Fuzzed<R>,
  subject: Subject<R>,
  seed: number,
  count: number,
): Promise<string | undefined> {
  const raw = Math.min(RAW_PER_ROUND, count);
  const injected = fc.asyncProperty(requests, async (request) => void (await subject.send(request)));
  const onConnections = fc.asyncProperty(bytes, async (each) => void (await subject.sendRaw(each)));
  const replay = `npm run fuzz -- --subject ${name} --seed ${seed} --inputs ${count}`;
  const inJson = await fc.check(injected, { seed, numRuns: count - raw });
  if (inJson.failed) return failureOf(replay, inJson.errorInstance, showRequest(inJson.counterexample![0]));
  const inBytes = await fc.check(onConnections, { seed, numRuns: raw });
  if (inBytes.failed) return failureOf(replay, inBytes.errorInstance, show(inBytes.counterexample![0]));
  return subject.checkKept().then(
    () => undefined,
    (error: unknown) => failureOf(replay, error, "what was kept after all of them"),
  );
}

function failureOf(replay: string, error: unknown, input: string): string {
  return `${error instanceof Error ? error.message : String(error)}\n${input}\nreplay: ${replay}`;
}

function showRequest({ method, path, headers, text, body }: FuzzRequest): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const content = text === undefined ? "" : show(text);
  const packed =
    body === undefined || body === text ? "" : `\npacked, in hexadecimal: ${body.toString("hex")}`;
  return [`${method} ${path}`, ...lines, "", content].join("\n") + packed;
}

const SHOWN = 2_000;

/** Bytes that are no text are escaped. */
function show(bytes: Buffer): string {
  const text = bytes.toString("latin1").replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is escaped
    /[\u0000-\u0009\u000b-\u001f\u007f-\u00ff]/g,
    (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
  return text.length <= SHOWN ? text : `${text.slice(0, SHOWN)}… (${bytes.length} bytes)`;
}

/** What is kept of memory, after all that can be freed is. */
async function usedBytes(heldForMs: number): Promise<number> {
  await sleep(heldForMs);
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  // What holds memory outside of the heap lets go of it in a later turn.
  for (let turn = 0; turn < 4; turn += 1) {
    collect();
    await setImmediate();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
