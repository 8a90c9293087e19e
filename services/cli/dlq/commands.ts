/**
 * What `keyline dlq` does, on an open letter box. Each command goes once through the letters that were there when
 * the box was opened. Lines for people and programs go to `out`, what went wrong to `complain`.
 */
import type { Producer } from "../../../shared/ports/update-queue.ts";
import { KeylineError, toError } from "../../../shared/runtime/errors.ts";
import { createPace } from "../../../shared/runtime/pace.ts";
import type { LetterBox } from "./letter-box.ts";
import { letterDetails, letterJson, letterLine, wholeJson } from "./letter-text.ts";
import { reasonOf, type Selection, selects } from "./selection.ts";
import type { StoredLetter } from "./stored-letter.ts";

export type Output = { out(line: string): void; complain(line: string): void };

/** Each resolves with true when all that was asked for is done. */
export async function listLetters(
  box: LetterBox,
  selection: Selection,
  options: { json: boolean; limit: number | undefined },
  { out, complain }: Output,
): Promise<boolean> {
  const { limit } = options;
  const line = options.json ? letterJson : letterLine;
  const newest: string[] = [];
  let listed = 0;
  for await (const stored of box.letters()) {
    if (!selects(selection, stored)) continue;
    listed += 1;
    if (limit === undefined) out(line(stored));
    else newest.push(line(stored));
    if (newest.length > (limit ?? 0)) newest.shift();
  }
  newest.forEach(out);
  if (listed === 0 && !options.json)
    complain(box.count === 0 ? "no dead letters" : `none of the ${box.count} dead letters fits`);
  return true;
}

export async function showLetter(
  box: LetterBox,
  id: string,
  options: { json: boolean },
  { out, complain }: Output,
): Promise<boolean> {
  for await (const stored of box.letters()) {
    if (stored.id !== id) continue;
    out(options.json ? wholeJson(stored) : letterDetails(stored));
    return true;
  }
  complain(notThere(id));
  return false;
}

export type ReplayOptions = {
  /** To the updates topic; undefined for a dry run. */
  producer: Producer | undefined;
  /** Letters a second, at most. */
  rate: number;
  /** Ends the command after the letter that is under way. */
  signal: AbortSignal;
};

/**
 * Publishes what the letters hold under its own key, and takes each out once Pulsar has it. Where Pulsar does not
 * answer it stops: the rest would fail as well, and stays.
 * @throws KeylineError of the send, retryable, with nothing taken out for that letter
 */
export function replayLetters(
  box: LetterBox,
  selection: Selection,
  { producer, rate, signal }: ReplayOptions,
  output: Output,
): Promise<boolean> {
  const turn = createPace(() => rate);
  let tooOld = 0;
  return change(box, selection, output, {
    done: producer === undefined ? "would replay" : "replayed",
    signal,
    async apply(stored) {
      const { letter } = stored;
      if (letter === undefined) return "it is not a letter of this build";
      if (letter.cut) return `only the beginning of its ${letter.payloadBytes} bytes was kept`;
      if (letter.reason === "too_old_to_tell") tooOld += 1;
      if (producer === undefined) return undefined;
      await turn(signal);
      try {
        await producer.send({ key: letter.key, payload: letter.payload, deduplicationId: stored.id });
      } catch (thrown) {
        if (!(thrown instanceof KeylineError) || thrown.retryable) throw thrown;
        return thrown.message;
      }
      await box.remove(stored);
      return undefined;
    },
    note: () =>
      tooOld === 0
        ? undefined
        : `${tooOld} of them were too_old_to_tell: what the library published is parked again`,
  });
}

/** Takes the letters out. The topic keeps them all the same, as the ledger keeps what came over Pulsar. */
export function dropLetters(
  box: LetterBox,
  selection: Selection,
  { dryRun, signal }: { dryRun: boolean; signal: AbortSignal },
  output: Output,
): Promise<boolean> {
  return change(box, selection, output, {
    done: dryRun ? "would drop" : "dropped",
    signal,
    async apply(stored) {
      if (!dryRun) await box.remove(stored);
      return undefined;
    },
    note: () => undefined,
  });
}

type Change = {
  done: string;
  signal: AbortSignal;
  /** Resolves with why it can't be done, or undefined. */
  apply(stored: StoredLetter): Promise<string | undefined>;
  note(): string | undefined;
};

async function change(
  box: LetterBox,
  selection: Selection,
  { out, complain }: Output,
  { done, signal, apply, note }: Change,
): Promise<boolean> {
  const missing = new Set(selection.ids);
  let changed = 0;
  let failed = 0;
  const wanted = () => !signal.aborted && (selection.ids === undefined || missing.size > 0);
  try {
    for await (const stored of box.letters()) {
      if (selects(selection, stored)) {
        missing.delete(stored.id);
        const problem = await apply(stored);
        if (problem === undefined) {
          changed += 1;
          out(`${done}  ${letterLine(stored)}`);
        } else {
          failed += 1;
          complain(`failed ${stored.id} (${reasonOf(stored.letter)}): ${problem}`);
        }
      }
      if (!wanted()) break;
    }
    if (!signal.aborted) for (const id of missing) complain(notThere(id));
    return failed === 0 && missing.size === 0 && !signal.aborted;
  } catch (thrown) {
    if (!signal.aborted || toError(thrown).name !== "AbortError") throw thrown;
    return false;
  } finally {
    if (signal.aborted) complain("stopped before the end");
    out(`${done} ${changed}, failed ${failed}, of ${box.count} outstanding when it began`);
    const said = changed > 0 ? note() : undefined;
    if (said !== undefined) out(said);
  }
}

function notThere(id: string): string {
  return `${id} is not among the dead letters: replayed or dropped already, or never there`;
}
