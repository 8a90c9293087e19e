import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { exitOf } from "./service-process.ts";

export type GatewayProcess = {
  url: string;
  kill(signal: NodeJS.Signals): void;
  /** Resolves with the exit code, or null after a signal. */
  exited: Promise<number | null>;
};

/** Starts `services/gateway/main.ts` as a process, and resolves when it listens. */
export async function startGatewayProcess(
  environment: Record<string, string>,
  logFile: string,
): Promise<GatewayProcess> {
  const child = spawn(process.execPath, ["services/gateway/main.ts"], {
    env: {
      ...process.env,
      GATEWAY_HOST: "127.0.0.1",
      GATEWAY_PORT: "0",
      ADMIN_TOKEN: "test-token",
      ...environment,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const log = createWriteStream(logFile, { flags: "a" });
  child.stderr.pipe(log, { end: false });
  const exited = exitOf(child);
  const url = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).on("line", (line) => {
      log.write(`${line}\n`);
      const { msg, url } = JSON.parse(line) as { msg?: string; url?: string };
      if (msg === "started" && url !== undefined) resolve(url);
    });
    void exited.then((code) => reject(new Error(`the gateway ended with ${code}; its log: ${logFile}`)));
  });
  return { url, kill: (signal) => void child.kill(signal), exited };
}
