/** The stack as processes of this machine. */
import { createConnection } from "node:net";
import { join } from "node:path";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { installLocalStack, sqsIsAvailable, startLocalStack } from "./localstack.ts";
import { processIdentity } from "./process-identity.ts";
import { brokerIsHealthy, startPulsar } from "./pulsar.ts";
import { installPulsar } from "./pulsar-installation.ts";
import { installRedis, startRedis, withRedis } from "./redis.ts";
import { type Report, stopProcessGroup } from "./server-process.ts";
import { portSettings, type StackPorts } from "./stack-ports.ts";
import {
  readState,
  runningProcesses,
  type ServerName,
  type StartedProcess,
  stackDirectory,
  writeState,
} from "./stack-state.ts";

const stopTimeoutMs = 30_000;

type StackServer = {
  name: ServerName;
  url: string;
  /** All that it listens on, each with the setting that changes it. */
  ports: readonly (keyof StackPorts)[];
  isReady(): Promise<boolean>;
  start(directory: string, onSpawn: (pid: number) => void): Promise<unknown>;
};

/**
 * Starts the servers that do not run yet, side by side. Each process is noted down before it is ready, so that
 * `stopProcesses` also ends what an interrupted start has left.
 * @throws KeylineError `local_port_taken`, and what the installations and starts throw.
 */
export async function startProcesses(ports: StackPorts, report: Report): Promise<void> {
  const results = await Promise.allSettled(
    stackServers(ports, report).map((server) => ensureRuns(server, ports, report)),
  );
  const failures = results.flatMap((result) =>
    result.status === "rejected" ? [result.reason as Error] : [],
  );
  for (const failure of failures.slice(1)) report(failure.message);
  if (failures[0] !== undefined) throw failures[0];
}

function stackServers(ports: StackPorts, report: Report): StackServer[] {
  const admin = `http://127.0.0.1:${ports.pulsarHttp}`;
  const sqs = `http://127.0.0.1:${ports.sqs}`;
  return [
    {
      name: "pulsar",
      url: admin,
      ports: ["pulsar", "pulsarHttp"],
      isReady: () => brokerIsHealthy(admin),
      start: async (directory, onSpawn) =>
        startPulsar(await installPulsar(report), {
          directory,
          ports: { binary: ports.pulsar, http: ports.pulsarHttp },
          onSpawn,
        }),
    },
    {
      name: "localstack",
      url: sqs,
      ports: ["sqs"],
      isReady: () => sqsIsAvailable(sqs),
      start: async (directory, onSpawn) =>
        startLocalStack(await installLocalStack(report), { directory, port: ports.sqs, onSpawn }),
    },
    {
      name: "redis",
      url: `redis://127.0.0.1:${ports.redis}`,
      ports: ["redis"],
      isReady: () => withRedis(ports.redis, async (redis) => (await redis.ping()) === "PONG"),
      start: async (directory, onSpawn) =>
        startRedis(await installRedis(report), { directory, port: ports.redis, onSpawn }),
    },
  ];
}

async function ensureRuns(server: StackServer, ports: StackPorts, report: Report): Promise<void> {
  const began = performance.now();
  const running = runningProcesses(readState()).find((each) => each.name === server.name);
  if (running !== undefined) {
    if (running.url === server.url && (await server.isReady().catch(() => false))) {
      report(`${server.name}: runs already (pid ${running.pid}, ${server.url})`);
      return;
    }
    report(`${server.name}: pid ${running.pid} does not answer at ${server.url}, starting it again`);
    await stopProcessGroup(running.pid, stopTimeoutMs);
  }
  await requireFreePorts(server, ports);
  await server.start(join(stackDirectory, server.name), (pid) => noteDown(server, pid));
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  report(`${server.name}: started (${server.url}, ${seconds} s)`);
}

function noteDown(server: StackServer, pid: number): void {
  const identity = processIdentity(pid);
  if (identity === undefined) return;
  const others = runningProcesses(readState()).filter((each) => each.name !== server.name);
  const started: StartedProcess = { name: server.name, pid, identity, url: server.url };
  writeState({ way: "processes", started: [...others, started] });
}

async function requireFreePorts(server: StackServer, ports: StackPorts): Promise<void> {
  for (const name of server.ports) {
    if (!(await someoneListens(ports[name]))) continue;
    const message =
      `${server.name} wants port ${ports[name]} of 127.0.0.1, where something else listens that ` +
      `this stack did not start. End it, or set ${portSettings[name].setting} to another port.`;
    throw new KeylineError("local_port_taken", message, {
      path: portSettings[name].setting,
      value: ports[name],
    });
  }
}

function someoneListens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

/** Ends the processes that this checkout's stack has started, and no others. Their data stays. */
export async function stopProcesses(report: Report): Promise<void> {
  const running = runningProcesses(readState());
  await Promise.all(
    running.map(async (each) => {
      await stopProcessGroup(each.pid, stopTimeoutMs);
      report(`${each.name}: stopped (pid ${each.pid})`);
    }),
  );
}
