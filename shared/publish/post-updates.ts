/** One request to the gateway's `/v1/updates`, as its clients here send it. */
import type { Path } from "../ports/update-queue.ts";
import { fetchFailure, KeylineError } from "../runtime/errors.ts";

/** The update's id, and the path that has it durably. */
export type GatewayReceipt = { id: string; path: Path };

export type Problem = { code: string; message: string; path?: string; value?: unknown; retryable?: true };

/** `results` in the order of the updates; without them `error` is that of each. */
export type Answered = { results?: (GatewayReceipt | { error: Problem })[]; error?: Problem };

const MAX_RETRY_AFTER_MS = 60_000;
const FIRST_REST_MS = 100;
const LONGEST_REST_MS = 5_000;

export function updatesAddress(url: string): string {
  return `${url.replace(/\/+$/, "")}/v1/updates`;
}

/** Never rejects: a gateway that is away is `gateway_unreachable`, retryable. */
export async function postUpdates(
  { address, writeKey, timeoutMs }: { address: string; writeKey: string; timeoutMs: number },
  updates: readonly object[],
): Promise<Answered & { retryAfterMs: number }> {
  try {
    const response = await fetch(address, {
      method: "POST",
      headers: { authorization: `Bearer ${writeKey}`, "content-type": "application/json" },
      body: JSON.stringify({ updates }),
      signal: AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs))),
    });
    const seconds = Number(response.headers.get("retry-after") ?? 0);
    const retryAfterMs = Math.min(MAX_RETRY_AFTER_MS, seconds * 1_000 || 0);
    const text = await response.text();
    return { ...answerOf(response.status, text), retryAfterMs };
  } catch (thrown) {
    const message = `${address}: ${fetchFailure(thrown)}`;
    return { error: { code: "gateway_unreachable", message, retryable: true }, retryAfterMs: 0 };
  }
}

/** Longer each time, and at random, so that clients do not come back in one moment. */
export function restAfter(tries: number): number {
  return Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** (tries - 1)) * (0.5 + Math.random() / 2);
}

function answerOf(status: number, text: string): Answered {
  try {
    const answered = JSON.parse(text) as Answered;
    if (answered.results || answered.error) return answered;
  } catch {
    // A proxy's page, perhaps.
  }
  const message = `an unexpected answer with status ${status}`;
  return { error: { code: "unexpected_answer", message, ...(status >= 500 ? { retryable: true } : {}) } };
}

/** An update's place in a request is nothing that its caller knows. */
const PLACE = /^updates\[\d+\](?:\.|: |$)/;

export function toKeylineError({ code, message, value, retryable, ...rest }: Problem): KeylineError {
  const path = rest.path?.replace(PLACE, "");
  return new KeylineError(code, message.replace(PLACE, ""), {
    ...(path === undefined ? {} : { path }),
    value,
    retryable: retryable === true,
  });
}
