import { open, rm, stat } from "node:fs/promises";
import type { ImportedRow } from "../../../shared/imports/read-rows.ts";
import { KeylineError, toError } from "../../../shared/runtime/errors.ts";

/** Why a row was not taken. */
export type RefusedRow = { code: string; path?: string | undefined; value?: unknown; message: string };

/** One line of JSON for each refused row, in the order of the file. */
export type RefusedReport = {
  add(row: Pick<ImportedRow, "line" | "text">, refused: RefusedRow): void;
  /** Characters that are not written yet. */
  waiting(): number;
  /** Writes them to disk; resolves with the length of the report in bytes. */
  flush(): Promise<number>;
  close(): Promise<void>;
};

/**
 * @param bytes of the report that stay; what is behind them will come again.
 * @throws KeylineError `bad_report`
 */
export async function openRefusedReport(path: string, bytes: number): Promise<RefusedReport> {
  const failed = (error: unknown) => {
    throw new KeylineError("bad_report", toError(error).message, { path, cause: error });
  };
  await shorten(path, bytes).catch(failed);
  let length = bytes;
  let lines: string[] = [];
  let waiting = 0;
  /** Once lines are lost the state must not go beyond them: every further flush fails as that one did. */
  let broken: { error: unknown } | undefined;
  let file: Awaited<ReturnType<typeof open>> | undefined;
  return {
    add({ line, text }, { code, path: column, value, message }) {
      const where = {
        ...(column ? { path: column } : {}),
        // Of what is missing a refusal says that it is undefined.
        ...(value === "undefined" ? {} : { value }),
      };
      const entry = `${JSON.stringify({ line, code, ...where, message, raw: text })}\n`;
      lines.push(entry);
      waiting += entry.length;
    },
    waiting: () => waiting,
    async flush() {
      if (broken) failed(broken.error);
      if (lines.length === 0) return length;
      const text = lines.join("");
      lines = [];
      waiting = 0;
      try {
        file ??= await open(path, "a");
        await file.appendFile(text);
        await file.sync();
      } catch (error) {
        broken = { error };
        failed(error);
      }
      length += Buffer.byteLength(text);
      return length;
    },
    close: async () => file?.close(),
  };
}

/** How each of its lines begins. */
const BEGINNING = '{"line":';

/** A file of somebody else's is not written over. */
async function assertOwn(path: string): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (!found || (found.isFile() && found.size === 0)) return;
  if (!found.isFile()) throw new Error(`${path} is no regular file`);
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(BEGINNING.length), position: 0 });
    if (buffer.toString("latin1", 0, bytesRead) === BEGINNING) return;
  } finally {
    await file.close();
  }
  throw new Error(`${path} is there already, and is no report of an import`);
}

async function shorten(path: string, bytes: number): Promise<void> {
  await assertOwn(path);
  if (bytes === 0) return rm(path, { force: true });
  const { size } = await stat(path);
  if (size < bytes) throw new Error(`${path} is shorter than it was: --restart begins anew`);
  const file = await open(path, "r+");
  try {
    await file.truncate(bytes);
  } finally {
    await file.close();
  }
}
