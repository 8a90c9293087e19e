/** What `npm run stack` has started in this checkout: `.stack/state.json`. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { processIdentity } from "./process-identity.ts";

export const stackDirectory = fileURLToPath(new URL("../../.stack", import.meta.url));
const stateFile = join(stackDirectory, "state.json");

/** The name is also that of the server's directory below `.stack/`. */
export type ServerName = "pulsar" | "localstack" | "redis";

export type StartedProcess = {
  name: ServerName;
  pid: number;
  /** Of `processIdentity`: a later process with the same pid has another one. */
  identity: string;
  /** How people and readiness checks reach it. */
  url: string;
};

export type StackState =
  | { way: "none" }
  | { way: "compose" }
  | { way: "processes"; started: StartedProcess[] };

/** The last state written; `none` when there is none. */
export function readState(): StackState {
  try {
    return JSON.parse(readFileSync(stateFile, "utf8")) as StackState;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return { way: "none" };
    throw thrown;
  }
}

export function writeState(state: StackState): void {
  mkdirSync(stackDirectory, { recursive: true });
  const temporary = `${stateFile}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(state, undefined, 2)}\n`);
  renameSync(temporary, stateFile);
}

/** Those of the started processes that still run, and are not others that got their pid. */
export function runningProcesses(state: StackState): StartedProcess[] {
  if (state.way !== "processes") return [];
  return state.started.filter((each) => processIdentity(each.pid) === each.identity);
}
