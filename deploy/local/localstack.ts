import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cached } from "./cache.ts";
import { freePort } from "./free-ports.ts";
import { type Report, type RunningServer, startServer } from "./server-process.ts";
import { findProgram, installPackages, runProgram } from "./tools.ts";

/** The last release line that runs without an account. */
export const localStackVersion = "4.3.0";
const requirementsFile = fileURLToPath(new URL("localstack-requirements.txt", import.meta.url));
const installTimeoutMs = 900_000;

export type LocalStackInstallation = { python: string };
export type LocalStackOptions = {
  /** Its working files and its log; queues and messages live in memory and end with the process. */
  directory: string;
  port?: number;
  readyTimeoutMs?: number;
  /** As in `ServerCommand`. */
  onSpawn?: (pid: number) => void;
};
export type LocalStackServer = RunningServer<"sqs">;

/**
 * Makes LocalStack's Python environment in the cache, from the locked requirements.
 * @throws KeylineError `local_tool_missing` without a fitting Python, `local_command_failed` by pip.
 */
export async function installLocalStack(report: Report): Promise<LocalStackInstallation> {
  // The lock file's digest is in the name: another lock file is another environment.
  const digest = createHash("sha256").update(readFileSync(requirementsFile)).digest("hex").slice(0, 12);
  const directory = await cached(`localstack-${localStackVersion}-${digest}`, async (temporary) => {
    const python = await pythonWithVenv(report);
    report(`localstack ${localStackVersion}: installing from the Python package index`);
    await runProgram(python, ["-m", "venv", temporary], { timeoutMs: installTimeoutMs });
    const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"];
    await runProgram(
      join(temporary, "bin", "python"),
      [...install, "--require-hashes", "--requirement", requirementsFile],
      { timeoutMs: installTimeoutMs },
    );
  });
  return { python: join(directory, "bin", "python") };
}

async function pythonWithVenv(report: Report): Promise<string> {
  if (!(await hasVenv())) {
    await installPackages(["python3", "python3-venv"], "LocalStack needs python3 >= 3.10 with venv", report);
  }
  return "python3";
}

async function hasVenv(): Promise<boolean> {
  if (findProgram("python3") === undefined) return false;
  const probe = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
  return runProgram("python3", ["-c", probe], { timeoutMs: 30_000 }).then(
    () => true,
    () => false,
  );
}

/**
 * Starts LocalStack with SQS alone.
 * @throws KeylineError `local_server_failed`.
 */
export async function startLocalStack(
  installation: LocalStackInstallation,
  options: LocalStackOptions,
): Promise<LocalStackServer> {
  const port = options.port ?? (await freePort());
  const sqs = `http://127.0.0.1:${port}`;
  return startServer({
    name: "localstack",
    urls: { sqs },
    command: installation.python,
    // By its module: the scripts of a Python environment name the directory it was made in.
    arguments: ["-m", "localstack.cli.main", "start", "--host"],
    environment: localStackEnvironment(options.directory, port),
    directory: options.directory,
    logFile: join(options.directory, "localstack.log"),
    isReady: () => sqsIsAvailable(sqs),
    readyTimeoutMs: options.readyTimeoutMs ?? 60_000,
    stopTimeoutMs: 10_000,
    onSpawn: options.onSpawn,
  });
}

function localStackEnvironment(directory: string, port: number): Record<string, string> {
  return {
    SERVICES: "sqs",
    EAGER_SERVICE_LOADING: "1",
    GATEWAY_LISTEN: `127.0.0.1:${port}`,
    DISABLE_EVENTS: "1",
    // A queue's URL has the host that the client called it by; the default is a name that needs DNS.
    SQS_ENDPOINT_STRATEGY: "dynamic",
    SKIP_SSL_CERT_DOWNLOAD: "1",
    // Nothing but queues over HTTP: no DNS server, no files outside of the directory.
    DNS_ADDRESS: "0",
    FILESYSTEM_ROOT: directory,
    // Inside a container it takes itself for its own image and ignores the directory.
    OVERRIDE_IN_DOCKER: "0",
    TMPDIR: directory,
  };
}

/** True when SQS of the LocalStack at `endpoint` answers; rejects when nothing answers. */
export async function sqsIsAvailable(endpoint: string): Promise<boolean> {
  const answer = await fetch(`${endpoint}/_localstack/health`, { signal: AbortSignal.timeout(2_000) });
  const health = (await answer.json()) as { services?: { sqs?: string } };
  return ["available", "running"].includes(health.services?.sqs ?? "");
}
