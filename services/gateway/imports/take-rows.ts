/** What becomes of the rows of an uploaded file: no more are read before those that came are durable. */
import { setTimeout as sleep } from "node:timers/promises";
import { quote } from "../../../shared/domain/refusal.ts";
import { Throttled } from "../../../shared/http/http-errors.ts";
import type { ImportedRow } from "../../../shared/imports/read-rows.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import type { Acceptor, Item, ItemResult } from "../accept.ts";
import type { Tenant } from "../tenants/tenant.ts";

export type RefusedLine = { line: number; code: string; path?: string; value?: string; message: string };

export type ImportProgress = {
  /** Lines of the file that are settled. */
  lines: number;
  accepted: number;
  refused: number;
  report: RefusedLine[];
  /** From where an upload of the same file goes on. */
  nextLine: number;
};

/** Of the lines that an answer tells. */
export const MAX_REPORTED_LINES = 1_000;
/** Less than a request may have, so that a tenant's own requests find room beside it. */
const MAX_ROWS = 500;
const MAX_BYTES = 1_048_576;
/**
 * Of a user. A batch that breaks off, or an answer that comes too late, has all of it sent again, and a profile
 * remembers so many ids by default (`MAX_REMEMBERED_IDS`).
 */
const MAX_ROWS_OF_USER = 32;
/** Without anything taken; then the upload ends, and says from where it goes on. */
const PATIENCE_MS = 30_000;
const REST_MS = 500;

/**
 * Keeps `progress` true at every moment.
 *
 * @throws KeylineError `invalid_request` where the file ends before `fromLine`; what ends the upload: what `rows` throws, and, retryable, where nothing is taken any more
 */
export async function takeRows(options: {
  rows: AsyncIterable<readonly ImportedRow[]>;
  tenant: Tenant;
  acceptor: Acceptor;
  itemOf(row: object): Item;
  progress: ImportProgress;
  /** Rows before this line are passed over. */
  fromLine: number;
  /** The line behind those that were read, which may be empty ones. */
  endLine(): number;
  signal: AbortSignal;
}): Promise<void> {
  const { rows, progress, fromLine, signal } = options;
  for await (const some of rows) {
    for (const batch of batchesOf(some.filter(({ line }) => line >= fromLine))) {
      await settleBatch(batch, options);
      progress.nextLine = batch.at(-1)!.next.line;
      progress.lines = progress.nextLine - 1;
      signal.throwIfAborted();
    }
  }
  const endsAt = options.endLine();
  if (fromLine <= endsAt) return;
  progress.nextLine = endsAt;
  progress.lines = endsAt - 1;
  const message = `fromLine: is behind the file's last line, which is line ${endsAt - 1}`;
  throw new KeylineError("invalid_request", message, { path: "fromLine", value: fromLine });
}

type BatchOptions = Parameters<typeof takeRows>[0];

async function settleBatch(
  batch: readonly ImportedRow[],
  { tenant, acceptor, itemOf, progress, signal }: BatchOptions,
): Promise<void> {
  const results = new Map<number, ItemResult>();
  let left = batch.filter((row) => "update" in row);
  let giveUpAtMs = performance.now() + PATIENCE_MS;
  while (left.length > 0) {
    const { settled, restMs } = await tryOnce(left.map((row) => itemOf(row.update)));
    for (const [index, result] of settled.entries()) if (result) results.set(left[index]!.line, result);
    left = left.filter(({ line }) => !results.has(line));
    if (left.length === 0) break;
    if (settled.some((result) => result !== undefined)) giveUpAtMs = performance.now() + PATIENCE_MS;
    await sleep(restMs, undefined, { signal });
  }
  for (const row of batch) note(row, results.get(row.line), progress);

  /** Undefined: to be tried again. */
  async function tryOnce(items: Item[]): Promise<{ settled: (ItemResult | undefined)[]; restMs: number }> {
    try {
      const all = await acceptor.accept(tenant, items);
      const problem = all.find((result) => result instanceof KeylineError && result.retryable);
      if (problem) refuseLate(problem as KeylineError);
      const isFinal = (result: ItemResult) => !(result instanceof KeylineError && result.retryable);
      return { settled: all.map((result) => (isFinal(result) ? result : undefined)), restMs: REST_MS };
    } catch (error) {
      // Nothing was taken.
      const none = items.map(() => undefined);
      if (error instanceof Throttled) {
        giveUpAtMs = performance.now() + PATIENCE_MS + error.retryAfterMs;
        return { settled: none, restMs: error.retryAfterMs };
      }
      if (!(error instanceof KeylineError && error.retryable)) throw error;
      refuseLate(error);
      return { settled: none, restMs: REST_MS };
    }
  }

  function refuseLate(problem: KeylineError): void {
    if (performance.now() > giveUpAtMs) throw problem;
  }
}

/** As `itemOf` is told; a row is an update by itself. */
const PLACE = /^update(?:\.|: |$)/;

function note(row: ImportedRow, result: ItemResult | undefined, progress: ImportProgress): void {
  const refused = "refusal" in row ? row.refusal : result;
  if (refused === undefined || !("code" in refused)) {
    progress.accepted += 1;
    return;
  }
  progress.refused += 1;
  if (progress.report.length >= MAX_REPORTED_LINES) return;
  const { code, value } = refused;
  const path = refused.path?.replace(PLACE, "");
  progress.report.push({
    ...{ line: row.line, code, message: refused.message.replace(PLACE, "") },
    ...(path ? { path } : {}),
    // Of what is missing a refusal says that it is undefined.
    ...(value === undefined || value === "undefined"
      ? {}
      : { value: typeof value === "string" ? value : quote(value) }),
  });
}

function* batchesOf(rows: readonly ImportedRow[]): Generator<ImportedRow[]> {
  let batch: ImportedRow[] = [];
  let bytes = 0;
  const rowsOf = new Map<string, number>();
  for (const row of rows) {
    const user = "update" in row ? String(row.update.userId) : undefined;
    const isLong = batch.length >= MAX_ROWS || (batch.length > 0 && bytes + row.text.length > MAX_BYTES);
    if (isLong || (user !== undefined && rowsOf.get(user) === MAX_ROWS_OF_USER)) {
      yield batch;
      batch = [];
      bytes = 0;
      rowsOf.clear();
    }
    batch.push(row);
    bytes += row.text.length;
    if (user !== undefined) rowsOf.set(user, (rowsOf.get(user) ?? 0) + 1);
  }
  if (batch.length > 0) yield batch;
}
