import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { PublisherTask } from "./publisher-process.ts";
import { exitOf } from "./service-process.ts";

/** What a publisher says at its end. */
export type PublisherSummary = {
  done: true;
  published: { pulsar: number; sqs: number };
  p99Ms: number;
  longestMs: number;
};

export type PublisherProcess = {
  pid: number;
  /** Updates begun so far, about. */
  sent(): number;
  /** Undefined until it has ended by itself. */
  summary(): PublisherSummary | undefined;
  kill(signal: NodeJS.Signals): void;
  /** Resolves with the exit code, or null after a signal. */
  exited: Promise<number | null>;
};

/** Starts `publisher-process.ts`, whose SIGTERM ends it once all that it began is acknowledged. */
export function startPublisher(task: PublisherTask, environment: Record<string, string>): PublisherProcess {
  const child = spawn(process.execPath, ["test/support/publisher-process.ts", JSON.stringify(task)], {
    env: { ...process.env, LOG_LEVEL: "fatal", ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let sent = 0;
  let summary: PublisherSummary | undefined;
  createInterface(child.stdout).on("line", (line) => {
    const progress = JSON.parse(line) as { sent: number } | PublisherSummary;
    if ("done" in progress) summary = progress;
    else sent = progress.sent;
  });
  return {
    pid: child.pid!,
    sent: () => sent,
    summary: () => summary,
    kill: (signal) => void child.kill(signal),
    exited: exitOf(child),
  };
}
