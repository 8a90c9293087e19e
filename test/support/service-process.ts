import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { nodeEnvironment } from "../../deploy/local/node-options.ts";

/** A service as a process of its own. */
export type RunningProcess = {
  pid: number;
  kill(signal: NodeJS.Signals): void;
  /** Resolves with the exit code, or null after a signal. */
  exited: Promise<number | null>;
};

/** With where its admin endpoint is. */
export type ServiceProcess = RunningProcess & { adminUrl: string };

/** With where it listens. */
export type GatewayProcess = RunningProcess & { url: string };

/** Starts `services/audience-update/main.ts` as a process, and resolves when it has started. */
export async function startService(
  environment: Record<string, string>,
  logFile: string,
): Promise<ServiceProcess> {
  const settings = { ...nodeEnvironment, ADMIN_HOST: "127.0.0.1", ADMIN_PORT: "0" };
  const { process, said } = await start(
    "services/audience-update/main.ts",
    { ...settings, ...environment },
    { logFile, saying: "adminUrl" },
  );
  return { ...process, adminUrl: said };
}

/** Starts `services/gateway/main.ts` as a process, and resolves when it listens. */
export async function startGatewayProcess(
  environment: Record<string, string>,
  logFile: string,
): Promise<GatewayProcess> {
  const settings = { GATEWAY_HOST: "127.0.0.1", GATEWAY_PORT: "0" };
  const { process, said } = await start(
    "services/gateway/main.ts",
    { ...settings, ...environment },
    { logFile, saying: "url" },
  );
  return { ...process, url: said };
}

/** @param options.saying what a line of its log holds once it has started. */
async function start(
  program: string,
  environment: Record<string, string>,
  { logFile, saying }: { logFile: string; saying: string },
): Promise<{ process: RunningProcess; said: string }> {
  const child = spawn(process.execPath, [program], {
    env: { ...process.env, ADMIN_TOKEN: "test-token", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const log = createWriteStream(logFile, { flags: "a" });
  child.stderr.pipe(log, { end: false });
  const exited = exitOf(child);
  const said = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).on("line", (line) => {
      log.write(`${line}\n`);
      const { [saying]: value } = JSON.parse(line) as Record<string, string | undefined>;
      if (value !== undefined) resolve(value);
    });
    void exited.then((code) => reject(new Error(`${program} ended with ${code}; its log: ${logFile}`)));
  });
  return { process: { pid: child.pid!, kill: (signal) => void child.kill(signal), exited }, said };
}

export function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once("exit", (code) => resolve(code)));
}
