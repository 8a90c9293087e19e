/**
 * `npm run stack`, `stack:stop`, `stack:status`: Pulsar, SQS and Redis for people, as containers where Docker
 * can, else as processes of this machine. Progress goes to stderr and the environment to stdout, so
 * `eval "$(npm run --silent stack)"` makes a shell ready for a service. `npm run start:stack` starts a service too.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { localAwsEnvironment, updatesQueueName } from "../../localstack/create-queues.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { composeDown, composeStatus, composeUp, whyNoCompose } from "./compose.ts";
import { lockFile } from "./lock-file.ts";
import { nodeEnvironment } from "./node-options.ts";
import { setUpServers } from "./set-up.ts";
import { portSettings, type StackPorts, stackPorts } from "./stack-ports.ts";
import { startProcesses, stopProcesses } from "./stack-processes.ts";
import { readState, runningProcesses, stackDirectory, writeState } from "./stack-state.ts";

const report = (line: string) => console.error(`[stack] ${line}`);

async function start(): Promise<Record<string, string>> {
  const ports = stackPorts(process.env);
  if (!(await startedByCompose(ports))) await startProcesses(ports, report);
  const queues = await setUpServers(`http://127.0.0.1:${ports.pulsarHttp}`, `http://127.0.0.1:${ports.sqs}`);
  report("topics and queues are set up");
  return serviceEnvironment(ports, queues[updatesQueueName]!);
}

/** False where the servers have to be processes: they are already, or containers can't be had here. */
async function startedByCompose(ports: StackPorts): Promise<boolean> {
  if (runningProcesses(readState()).length > 0) return false;
  const whyNot = await whyNoCompose();
  if (whyNot !== undefined) {
    report(`${whyNot}, so the servers run as processes of this machine`);
    return false;
  }
  report("starting containers by docker compose; the first time downloads the images");
  writeState({ way: "compose" });
  try {
    const settings = Object.entries(portSettings).map(([name, { setting }]) => [
      setting,
      String(ports[name as keyof StackPorts]),
    ]);
    await composeUp(Object.fromEntries(settings));
    report("containers run and are healthy");
    return true;
  } catch (thrown) {
    await composeDown().catch(() => {});
    writeState({ way: "none" });
    const why = thrown instanceof KeylineError ? thrown.message.slice(-300) : String(thrown);
    report(`containers can't be had (${why.replaceAll("\n", " ")}), so the servers run as processes`);
    return false;
  }
}

/** What a service needs; the values are safe in a shell as they are. */
function serviceEnvironment(ports: StackPorts, queueUrl: string): Record<string, string> {
  return {
    PULSAR_URL: `ws://127.0.0.1:${ports.pulsarHttp}`,
    PULSAR_ADMIN_URL: `http://127.0.0.1:${ports.pulsarHttp}`,
    SQS_QUEUE_URL: queueUrl,
    ...localAwsEnvironment,
    REDIS_URL: `redis://127.0.0.1:${ports.redis}`,
    ADMIN_TOKEN: "local-development",
  };
}

async function printEnvironment(): Promise<void> {
  const environment = await locked(start);
  report("a service needs:");
  for (const [name, value] of Object.entries(environment)) console.log(`export ${name}=${value}`);
  console.log(
    `# or, by the native client: export PULSAR_URL=pulsar://127.0.0.1:${stackPorts(process.env).pulsar}`,
  );
}

/** Starts the stack, then a program of this project with what it needs; what the environment says already wins. */
async function run(file: string | undefined, ...programArguments: string[]): Promise<void> {
  if (file === undefined) {
    throw new KeylineError("config_invalid", "run needs the file of a program, such as a service's main.ts");
  }
  const environment = await locked(start);
  const child = spawn(process.execPath, [file, ...programArguments], {
    stdio: "inherit",
    env: { ...nodeEnvironment, ...environment, ...process.env },
  });
  // The terminal sends Ctrl-C to both; this process stays until the program has drained.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  const [code] = (await once(child, "exit")) as [number | null];
  process.exitCode = code ?? 1;
}

async function stop(): Promise<void> {
  const state = readState();
  if (state.way === "compose") {
    await composeDown();
    report("containers stopped; their volumes stay");
  } else if (runningProcesses(state).length === 0) {
    report("nothing runs that this checkout has started");
  } else {
    await stopProcesses(report);
  }
  writeState({ way: "none" });
}

async function status(): Promise<void> {
  const state = readState();
  if (state.way === "compose") {
    console.log((await composeStatus()).trim());
    return;
  }
  const running = runningProcesses(state);
  if (running.length === 0) console.log("nothing runs that this checkout has started");
  for (const { name, pid, url } of running) console.log(`${name}: pid ${pid}, ${url}`);
}

const commands: Readonly<Record<string, (...commandArguments: string[]) => Promise<void>>> = {
  start: printEnvironment,
  run,
  stop: () => locked(stop),
  status,
};

/** One at a time in this checkout. */
async function locked<Result>(change: () => Promise<Result>): Promise<Result> {
  const unlock = await lockFile(join(stackDirectory, "lock"));
  try {
    return await change();
  } finally {
    unlock();
  }
}

async function main(): Promise<void> {
  const [name = "start", ...commandArguments] = process.argv.slice(2);
  const command = commands[name];
  if (command === undefined) {
    const message = `unknown command ${JSON.stringify(name)}, expected ${Object.keys(commands).join(", ")}`;
    throw new KeylineError("config_invalid", message, { value: name });
  }
  await command(...commandArguments);
}

try {
  await main();
} catch (thrown) {
  report(thrown instanceof KeylineError ? `${thrown.code}: ${thrown.message}` : String(thrown));
  process.exitCode = 1;
}
