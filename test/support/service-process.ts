import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { serviceNodeOptions } from "../../deploy/local/node-options.ts";

export type ServiceProcess = {
  pid: number;
  /** The process's admin endpoint. */
  adminUrl: string;
  kill(signal: NodeJS.Signals): void;
  /** Resolves with the exit code, or null after a signal. */
  exited: Promise<number | null>;
};

/** Starts `services/audience-update/main.ts` as a process, and resolves when it has started. */
export async function startService(
  environment: Record<string, string>,
  logFile: string,
): Promise<ServiceProcess> {
  const child = spawn(process.execPath, ["services/audience-update/main.ts"], {
    env: {
      ...process.env,
      NODE_OPTIONS: serviceNodeOptions,
      ADMIN_HOST: "127.0.0.1",
      ADMIN_PORT: "0",
      ADMIN_TOKEN: "test-token",
      ...environment,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const log = createWriteStream(logFile, { flags: "a" });
  child.stderr.pipe(log, { end: false });
  const exited = exitOf(child);
  const adminUrl = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).on("line", (line) => {
      log.write(`${line}\n`);
      const { adminUrl } = JSON.parse(line) as { adminUrl?: string };
      if (adminUrl !== undefined) resolve(adminUrl);
    });
    void exited.then((code) => reject(new Error(`the service ended with ${code}; its log: ${logFile}`)));
  });
  return { pid: child.pid!, adminUrl, kill: (signal) => void child.kill(signal), exited };
}

export function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once("exit", (code) => resolve(code)));
}
