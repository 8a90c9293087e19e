/** What is kept beside a file of how far its import is, so that it can go on. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readFile, rename, stat } from "node:fs/promises";
import Type from "typebox";
import { Compile } from "typebox/compile";
import { KeylineError, toError } from "../../../shared/runtime/errors.ts";

const Count = Type.Integer({ minimum: 0 });
const ImportState = Type.Object({
  version: Type.Literal(1),
  gateway: Type.String(),
  importId: Type.String(),
  file: Type.Object({ bytes: Count, modifiedMs: Type.Number(), sha256: Type.String() }),
  mappingSha256: Type.Union([Type.String(), Type.Null()]),
  /** Of the key under which the gateway took rows last: it says whose users they are. Absent where none did yet. */
  writeKeySha256: Type.Optional(Type.String()),
  /** Of CSV with a header. */
  columns: Type.Optional(Type.Array(Type.String())),
  /** Everything before it is settled. */
  next: Type.Object({ line: Type.Integer({ minimum: 1 }), offset: Count }),
  /** Lines behind it whose rows were taken before their turn. */
  ahead: Type.Array(Type.Integer({ minimum: 1 })),
  accepted: Count,
  refused: Count,
  /** What of the report belongs to that. */
  reportBytes: Count,
  done: Type.Boolean(),
});
export type ImportState = Type.Static<typeof ImportState>;
export type ImportedFile = ImportState["file"];

const validator = Compile(ImportState);

/** Undefined where there is none. @throws KeylineError `bad_import_state` */
export async function readImportState(path: string): Promise<ImportState | undefined> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new KeylineError("bad_import_state", toError(error).message, { path });
  });
  if (text === undefined) return undefined;
  try {
    const state: unknown = JSON.parse(text);
    if (validator.Check(state)) return state;
  } catch {
    // Neither is it JSON.
  }
  throw new KeylineError("bad_import_state", `${path} is no state of an import; --restart begins anew`, {
    path,
  });
}

/** After a crash there is either this one or the one before. */
export async function writeImportState(path: string, state: ImportState): Promise<void> {
  const before = `${path}.tmp`;
  const handle = await open(before, "w");
  try {
    await handle.writeFile(`${JSON.stringify(state)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(before, path);
}

/**
 * @param known from an earlier look: a file of the same length and time of change is the same.
 * @throws KeylineError `bad_import_file`
 */
export async function lookAtFile(path: string, known: ImportedFile | undefined): Promise<ImportedFile> {
  try {
    const found = await stat(path);
    // A pipe can't be read a second time, and one that nobody writes to would be waited for without end.
    if (!found.isFile()) throw new Error(`${path} is no regular file`);
    const { size: bytes, mtimeMs: modifiedMs } = found;
    if (known?.bytes === bytes && known.modifiedMs === modifiedMs) return known;
    const digest = createHash("sha256");
    for await (const chunk of createReadStream(path)) digest.update(chunk as Buffer);
    return { bytes, modifiedMs, sha256: digest.digest("hex") };
  } catch (error) {
    throw new KeylineError("bad_import_file", readFailure(error, path), { path, cause: error });
  }
}

/** Why a file can't be read. */
export function readFailure(thrown: unknown, path: string): string {
  const error: NodeJS.ErrnoException = toError(thrown);
  return error.code === "ENOENT" ? `there is no file ${path}` : error.message;
}

/**
 * @param asked.writeKeySha256 undefined where the key may be another one of the same tenant.
 * @throws KeylineError `import_changed` where the state is of another import than the one that is asked for
 */
export function assertSameImport(
  state: ImportState,
  asked: Pick<ImportState, "gateway" | "mappingSha256" | "file"> & {
    importId: string | undefined;
    writeKeySha256: string | undefined;
  },
  path: string,
): void {
  const differs =
    (state.file.sha256 !== asked.file.sha256 && "the file has changed") ||
    (state.mappingSha256 !== asked.mappingSha256 && "the mapping has changed") ||
    (state.gateway !== asked.gateway && `the gateway was ${state.gateway}`) ||
    (asked.importId !== undefined && asked.importId !== state.importId && `its id was ${state.importId}`);
  const restart = "--restart begins at the first line again";
  if (differs)
    throw new KeylineError("import_changed", `${differs} since ${path} was written: ${restart}`, { path });
  // Of files of earlier builds it is not known.
  const { writeKeySha256 = asked.writeKeySha256 } = state;
  if (asked.writeKeySha256 === undefined || asked.writeKeySha256 === writeKeySha256) return;
  const message = `the write key is not the one that ${path} was written with: ${restart}, as another tenant needs it; with --key-rotated it goes on, where this is a new key of the same tenant`;
  throw new KeylineError("import_changed", message, { path });
}
