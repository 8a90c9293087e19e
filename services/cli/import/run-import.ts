/** The whole way of a file: read, mapped, sent, settled, and noted down. */
import { createReadStream } from "node:fs";
import type { ImportFormat } from "../../../shared/imports/import-format.ts";
import { type ImportedRow, readRows } from "../../../shared/imports/read-rows.ts";
import { unpacked } from "../../../shared/imports/unpack.ts";
import { createFrontier } from "./frontier.ts";
import { type ImportState, writeImportState } from "./import-state.ts";
import { createLanes } from "./lanes.ts";
import type { RefusedReport } from "./refused-report.ts";
import type { RowResult, SendBatch } from "./send-batch.ts";

export type ImportOptions = {
  file: string;
  format: ImportFormat;
  /** Where it begins; is kept up to date. */
  state: ImportState;
  /** Undefined: nothing is kept. */
  statePath: string | undefined;
  report: RefusedReport;
  send: SendBatch;
  /** Requests under way at once. */
  requests: number;
  /** Nothing more is sent then; what is under way is waited for. */
  signal: AbortSignal;
  /** Bytes of the file, packed as it is, that were read so far. */
  onRead(bytes: number): void;
};

/** Rows that are read and not passed: memory is bounded, whatever the file is. */
const MAX_PENDING_ROWS = 8_192;
const MAX_PENDING_BYTES = 32 * 1_048_576;
const SAVE_EVERY_MS = 250;
const SAVE_AT_REPORT_LENGTH = 1_048_576;

type Entry = Pick<ImportedRow, "line" | "next"> & { text: string };

/** Resolves when the file is settled whole (`state.done`), or the signal has aborted. Rejects with a KeylineError. */
export async function runImport(options: ImportOptions): Promise<void> {
  const { state, report, send, requests, signal } = options;
  let failure: unknown;
  let pendingBytes = 0;
  /** Goes on with what waits for a row to settle. */
  let wake = () => {};
  let savedAtMs = performance.now();
  /** By an earlier run, of rows that are not read yet. */
  const takenBefore = new Set(state.ahead);

  const onAbort = () => wake();
  signal.addEventListener("abort", onAbort, { once: true });

  const frontier = createFrontier<Entry, RowResult>((entry, result) => {
    pendingBytes -= entry.text.length;
    state.next = entry.next;
    if (result === "accepted") state.accepted += 1;
    else {
      state.refused += 1;
      report.add(entry, result);
    }
    wake();
  });
  const lanes = createLanes({
    ...{ count: requests, send, signal },
    onFailure(error) {
      failure ??= error;
      wake();
    },
  });
  const isOver = () => signal.aborted || failure !== undefined;

  function take(row: ImportedRow): void {
    const { line, next, text } = row;
    pendingBytes += text.length;
    const settle = frontier.add({ line, next, text });
    if (takenBefore.delete(line)) settle("accepted");
    else if ("refusal" in row) settle(row.refusal);
    else lanes.put({ update: row.update, bytes: text.length, settle });
  }

  async function save(): Promise<void> {
    savedAtMs = performance.now();
    // Of this moment: rows settle while the report is written.
    const taken = frontier.ahead().filter(({ result }) => result === "accepted");
    const settled = { ...state, ahead: [...taken.map(({ entry }) => entry.line), ...takenBefore] };
    settled.reportBytes = await report.flush();
    // Nothing is settled, so that the next try may be with another mapping.
    const isBegun = settled.next.offset > 0 || settled.ahead.length > 0;
    if (isBegun && options.statePath !== undefined) await writeImportState(options.statePath, settled);
  }

  /** Waits until there is room for more, noting down how far it is. */
  async function settleTo(rows: number, bytes: number): Promise<void> {
    for (;;) {
      lanes.start();
      const isDue = performance.now() - savedAtMs >= SAVE_EVERY_MS;
      if (isDue || report.waiting() >= SAVE_AT_REPORT_LENGTH) await save();
      if (isOver() || (frontier.size() <= rows && pendingBytes <= bytes)) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }

  try {
    for await (const rows of rowsOf(options)) {
      for (const row of rows) take(row);
      await settleTo(MAX_PENDING_ROWS, MAX_PENDING_BYTES);
      if (isOver()) break;
    }
    if (!isOver()) await settleTo(0, 0);
    state.done = !isOver();
  } finally {
    await lanes.close();
    await save();
    signal.removeEventListener("abort", onAbort);
  }
  if (failure !== undefined && !signal.aborted) throw failure;
}

function rowsOf({ file, format, state, onRead }: ImportOptions): AsyncGenerator<ImportedRow[]> {
  const { next, importId } = state;
  const isBegun = next.offset > 0;
  return readRows({
    ...{ format, importId, bytes: behind(unpacked(bytesOf(file, onRead)), next.offset) },
    ...(isBegun && { from: { ...next, columns: state.columns } }),
    onColumns(columns) {
      state.columns = [...columns];
    },
  });
}

async function* bytesOf(file: string, onRead: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  let read = 0;
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    read += chunk.length;
    onRead(read);
    yield chunk;
  }
}

/** A packed file has no place to begin at, and reading is quick beside sending. */
async function* behind(bytes: AsyncIterable<Uint8Array>, offset: number): AsyncGenerator<Uint8Array> {
  let left = offset;
  for await (const chunk of bytes) {
    if (left < chunk.length) yield left === 0 ? chunk : chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}
