/** One `keyline import` of a file at a time: two would send its rows twice, and write over each other's state. */
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import Type from "typebox";
import { Compile } from "typebox/compile";
import { KeylineError, toError } from "../../../shared/runtime/errors.ts";

/** Who imports the file, as it stands in its lock. */
const Holder = Type.Object({
  pid: Type.Integer({ minimum: 1 }),
  host: Type.String(),
  /** ISO 8601. */
  since: Type.String(),
});
type Holder = Type.Static<typeof Holder>;

const validator = Compile(Holder);

/**
 * Resolves with what gives the file free again. What a dead process of this host has left is taken over.
 * @throws KeylineError `import_running` where another process has it; `bad_import_lock`, `bad_import_file`
 */
export async function lockImport(path: string): Promise<() => Promise<void>> {
  const own: Holder = { pid: process.pid, host: hostname(), since: new Date().toISOString() };
  const text = `${JSON.stringify(own)}\n`;
  try {
    while (!(await isCreated(path, text))) {
      const found = await readIfThere(path);
      if (found === undefined) continue;
      const holder = holderIn(found);
      if (!holder || !isGone(holder)) throw runningError(path, holder);
      await removeStale(path, found);
    }
  } catch (error) {
    if (error instanceof KeylineError) throw error;
    if ((error as NodeJS.ErrnoException).code !== "ENOENT")
      throw new KeylineError("bad_import_lock", toError(error).message, { path, cause: error });
    // Where its folder is not there, neither is the file.
    throw new KeylineError("bad_import_file", `there is no folder ${dirname(path)}`, { path, cause: error });
  }
  return async () => {
    // Somebody may have taken it for stale and deleted it, and another process have one since.
    if ((await readIfThere(path)) === text) await rm(path, { force: true });
  };
}

async function isCreated(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch(ifThere);
}

function ifThere(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}

function holderIn(text: string): Holder | undefined {
  try {
    const holder: unknown = JSON.parse(text);
    return validator.Check(holder) ? holder : undefined;
  } catch {
    // Somebody is just writing it, or died meanwhile.
    return undefined;
  }
}

/** Another host's processes can't be asked for. Where this one has the id, an earlier one that had it is gone. */
function isGone({ pid, host }: Holder): boolean {
  if (host !== hostname()) return false;
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/** Of several that find the same stale lock only one may take it away, and none that of who was quicker. */
async function removeStale(path: string, found: string): Promise<void> {
  const aside = `${path}.${process.pid}`;
  const isMoved = await rename(path, aside).then(() => true, ifThere);
  if (!isMoved) return;
  if ((await readFile(aside, "utf8")) === found) await rm(aside);
  else await rename(aside, path);
}

function runningError(path: string, holder: Holder | undefined): KeylineError {
  const who = holder
    ? `process ${holder.pid} on ${holder.host} has been importing this file since ${holder.since}`
    : "another process imports this file";
  const message = `${who}: wait for it, or end it and run this command again; where it is gone, delete ${path} first`;
  return new KeylineError("import_running", message, { path, value: holder });
}
