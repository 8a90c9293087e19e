import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { processIdentity } from "./process-identity.ts";

const pollMs = 250;

/**
 * Waits until no living process holds `file` and takes it; resolves with what gives it back. A lock that its
 * owner could not give back (SIGKILL) is taken over.
 */
export async function lockFile(file: string): Promise<() => void> {
  mkdirSync(dirname(file), { recursive: true });
  while (!tryLock(file)) {
    removeIfAbandoned(file);
    await delay(pollMs);
  }
  return () => rmSync(file, { force: true });
}

function tryLock(file: string): boolean {
  try {
    writeFileSync(file, `${process.pid} ${processIdentity(process.pid)}`, { flag: "wx" });
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw thrown;
  }
}

/** A lock whose owner is gone. An owner that has just made the file and not yet written it is given time. */
function removeIfAbandoned(file: string): void {
  try {
    const [pid, ...identity] = readFileSync(file, "utf8").split(" ");
    if (pid && processIdentity(Number(pid)) !== identity.join(" ")) rmSync(file, { force: true });
  } catch {
    // Its owner has just removed it.
  }
}
