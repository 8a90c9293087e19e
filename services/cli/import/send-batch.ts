import { setTimeout as sleep } from "node:timers/promises";
import type { ImportedUpdate } from "../../../shared/imports/map-row.ts";
import {
  type Answered,
  postUpdates,
  restAfter,
  toKeylineError,
  updatesAddress,
} from "../../../shared/publish/post-updates.ts";
import type { KeylineError } from "../../../shared/runtime/errors.ts";
import type { RefusedRow } from "./refused-report.ts";

export type RowResult = "accepted" | RefusedRow;

/** A row on its way to the gateway. */
export type Sending = { update: ImportedUpdate; bytes: number; settle(result: RowResult): void };

/**
 * Resolves once each row is settled, however long the gateway is away or says that it must wait.
 * Rejects with a KeylineError that no other try can mend, such as `unauthorised`, and when the signal aborts during a
 * wait; then the rows that are not settled may have been taken all the same.
 */
export type SendBatch = (rows: readonly Sending[]) => Promise<void>;

/** Of one request: a gateway that hangs is asked again. */
const REQUEST_TIMEOUT_MS = 60_000;

export function createBatchSender(options: {
  url: string;
  writeKey: string;
  signal: AbortSignal;
  /** Before any row is taken: the gateway knows the key. */
  onKeyTaken(): void;
  /** The same rows are sent again after this time. */
  onWait(problem: KeylineError, restMs: number): void;
}): SendBatch {
  const { url, writeKey, signal, onKeyTaken, onWait } = options;
  const request = { address: updatesAddress(url), writeKey, timeoutMs: REQUEST_TIMEOUT_MS };

  async function sendBatch(rows: readonly Sending[]): Promise<void> {
    let left = rows;
    for (let tries = 1; left.length > 0; tries += 1) {
      const answered = await postUpdates(
        request,
        left.map(({ update }) => update),
      );
      if (answered.error?.code === "too_large" && !answered.results && left.length > 1) {
        const half = left.length >>> 1;
        await sendBatch(left.slice(0, half));
        return sendBatch(left.slice(half));
      }
      if (answered.results) onKeyTaken();
      const { again, problem } = conclude(left, answered);
      left = again;
      if (!problem) continue;
      const restMs = Math.max(answered.retryAfterMs, restAfter(tries));
      onWait(problem, restMs);
      await sleep(restMs, undefined, { signal });
    }
  }
  return sendBatch;
}

/** Settles what can be settled. @throws KeylineError what is wrong with the request as a whole */
function conclude(
  rows: readonly Sending[],
  { results, error }: Answered,
): { again: Sending[]; problem: KeylineError | undefined } {
  const again: Sending[] = [];
  let problem: KeylineError | undefined;
  for (const [index, row] of rows.entries()) {
    const result = results?.[index] ?? { error: error! };
    if (!("error" in result)) {
      row.settle("accepted");
      continue;
    }
    const refused = toKeylineError(result.error);
    if (refused.retryable) {
      again.push(row);
      problem ??= refused;
    } else if (results || refused.code === "too_large") row.settle(refused);
    else throw refused;
  }
  return { again, problem };
}
