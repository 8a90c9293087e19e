/**
 * One server as a process of this machine: started in a process group of its own, its output in a file,
 * ready when the server itself says so.
 */
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { KeylineError, toError } from "../../shared/runtime/errors.ts";
import { processIdentity } from "./process-identity.ts";

/** Takes one line of progress for people. */
export type Report = (line: string) => void;

export type RunningServer<Url extends string = string> = {
  name: string;
  urls: Record<Url, string>;
  /** The leader of the server's process group. */
  pid: number;
  /** Where its output goes. */
  logFile: string;
  /** SIGTERM, after the server's stop time SIGKILL; resolves when the process is gone. Also for a frozen one. */
  stop(): Promise<void>;
  /**
   * Sends a signal to the whole process group: `SIGSTOP` freezes the server, `SIGCONT` thaws it, `SIGKILL`
   * ends it (follow it with `stop()`, which waits until the process is gone). A server that is gone is fine.
   */
  kill(signal: NodeJS.Signals): void;
};

export type ServerCommand<Url extends string> = {
  name: string;
  urls: Record<Url, string>;
  command: string;
  arguments: readonly string[];
  /** Added to this process's environment. */
  environment?: Readonly<Record<string, string>>;
  /** The working directory; made when it is missing. */
  directory: string;
  logFile: string;
  /** Asks the server. A rejection counts as "not yet" and is quoted when the time is over. */
  isReady(): Promise<boolean>;
  readyTimeoutMs: number;
  /** How long a SIGTERM may take before SIGKILL. */
  stopTimeoutMs: number;
  /** Called as soon as there is a process, before it is ready, so that its starter can note it down. */
  onSpawn?: ((pid: number) => void) | undefined;
};

const readyPollMs = 100;
const logTailLines = 20;

/**
 * Starts a server and resolves when it is ready. The process outlives this one unless it is stopped.
 * @throws KeylineError `local_server_failed` when it ends or is not ready in time; quotes the log's tail.
 */
export async function startServer<Url extends string>(
  command: ServerCommand<Url>,
): Promise<RunningServer<Url>> {
  const pid = await spawnDetached(command);
  command.onSpawn?.(pid);
  const server: RunningServer<Url> = {
    name: command.name,
    urls: command.urls,
    pid,
    logFile: command.logFile,
    stop: () => stopProcessGroup(pid, command.stopTimeoutMs),
    kill: (signal) => signalProcessGroup(pid, signal),
  };
  try {
    await untilReady(command, pid);
  } catch (thrown) {
    await stopProcessGroup(pid, command.stopTimeoutMs);
    throw thrown;
  }
  return server;
}

async function spawnDetached(command: ServerCommand<string>): Promise<number> {
  mkdirSync(command.directory, { recursive: true });
  mkdirSync(dirname(command.logFile), { recursive: true });
  const log = openSync(command.logFile, "a");
  try {
    const child = spawn(command.command, command.arguments, {
      cwd: command.directory,
      env: { ...process.env, ...command.environment },
      detached: true,
      stdio: ["ignore", log, log],
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
    child.unref();
    return child.pid!;
  } catch (thrown) {
    throw failed(command, `could not be started: ${toError(thrown).message}`, thrown);
  } finally {
    closeSync(log);
  }
}

async function untilReady(command: ServerCommand<string>, pid: number): Promise<void> {
  const deadline = performance.now() + command.readyTimeoutMs;
  let lastError: unknown;
  while (performance.now() < deadline) {
    if (processIdentity(pid) === undefined) throw failed(command, "ended before it was ready");
    try {
      if (await command.isReady()) return;
      lastError = undefined;
    } catch (thrown) {
      lastError = thrown;
    }
    await delay(readyPollMs);
  }
  const why = lastError === undefined ? "" : ` (last answer: ${toError(lastError).message})`;
  throw failed(command, `was not ready within ${command.readyTimeoutMs} ms${why}`, lastError);
}

function failed(command: ServerCommand<string>, what: string, cause?: unknown): KeylineError {
  const message = `${command.name} ${what}. The end of ${command.logFile}:\n${logTail(command.logFile)}`;
  return new KeylineError("local_server_failed", message, { value: command.logFile, cause });
}

function logTail(file: string): string {
  try {
    return readFileSync(file, "utf8").trimEnd().split("\n").slice(-logTailLines).join("\n");
  } catch {
    return "(no log)";
  }
}

/** Ends a process group and resolves when its leader is gone. A group that is already gone is fine. */
export async function stopProcessGroup(pid: number, stopTimeoutMs: number): Promise<void> {
  signalProcessGroup(pid, "SIGTERM");
  // A frozen process takes no SIGTERM until it is thawed.
  signalProcessGroup(pid, "SIGCONT");
  if (!(await isGoneWithin(pid, stopTimeoutMs))) {
    signalProcessGroup(pid, "SIGKILL");
    await isGoneWithin(pid, stopTimeoutMs);
  }
  // What the leader left behind in its group.
  signalProcessGroup(pid, "SIGKILL");
}

async function isGoneWithin(pid: number, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (processIdentity(pid) !== undefined) {
    if (performance.now() >= deadline) return false;
    await delay(20);
  }
  return true;
}

function signalProcessGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "ESRCH") throw thrown;
  }
}
