import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { freePorts } from "./free-ports.ts";
import type { PulsarInstallation } from "./pulsar-installation.ts";
import { type RunningServer, startServer } from "./server-process.ts";

export type PulsarOptions = {
  /** Metadata, bookie, configuration and log. A broker started again on it has its data back, also after a SIGKILL. */
  directory: string;
  /** The binary protocol's port and that of admin REST and WebSocket; free ones by default. */
  ports?: { binary: number; http: number };
  /**
   * `quick` compiles less: ready in half the time, slower under load; for tests. `full` is the default.
   */
  tuning?: "quick" | "full";
  /** Settings of standalone.conf that replace those below. */
  settings?: Readonly<Record<string, string>>;
  readyTimeoutMs?: number;
  /** As in `ServerCommand`. */
  onSpawn?: (pid: number) => void;
};

/** `pulsar` pulsar://…, `webSocket` ws://…, `admin` http://…, none with a path. */
export type PulsarServer = RunningServer<"pulsar" | "webSocket" | "admin">;

/**
 * Starts Pulsar standalone: broker and bookie in one Java process, its metadata in RocksDB. Ready when the
 * broker's own health check, which produces and consumes a message, says ok. The only other port it opens is
 * the bookie's: a random one on the loopback interface, which it keeps for its directory.
 * @throws KeylineError `local_server_failed`.
 */
export async function startPulsar(
  installation: PulsarInstallation,
  options: PulsarOptions,
): Promise<PulsarServer> {
  const ports = options.ports ?? (await freePulsarPorts());
  const { directory } = options;
  rmSync(join(directory, "tmp"), { recursive: true, force: true });
  mkdirSync(join(directory, "tmp"), { recursive: true });
  const configuration = join(directory, "standalone.conf");
  writeFileSync(
    configuration,
    standaloneConfiguration(installation.directory, ports, options.settings ?? {}),
  );
  const admin = `http://127.0.0.1:${ports.http}`;
  return startServer({
    name: "pulsar",
    urls: {
      pulsar: `pulsar://127.0.0.1:${ports.binary}`,
      webSocket: `ws://127.0.0.1:${ports.http}`,
      admin,
    },
    command: join(installation.directory, "bin", "pulsar"),
    arguments: [
      "standalone",
      "--no-functions-worker",
      "--no-stream-storage",
      "--advertised-address=127.0.0.1",
      `--config=${configuration}`,
      `--metadata-dir=${join(directory, "metadata")}`,
      `--bookkeeper-dir=${join(directory, "bookkeeper")}`,
    ],
    environment: javaEnvironment(directory, configuration, options.tuning ?? "full"),
    directory,
    logFile: join(directory, "pulsar.log"),
    isReady: () => brokerIsHealthy(admin),
    readyTimeoutMs: options.readyTimeoutMs ?? 120_000,
    stopTimeoutMs: 30_000,
    onSpawn: options.onSpawn,
  });
}

export async function freePulsarPorts(): Promise<{ binary: number; http: number }> {
  const [binary, http] = await freePorts(2);
  return { binary: binary!, http: http! };
}

/**
 * The defaults plan for a machine of its own, with pools of a thread or two for each core. Here the broker
 * shares a few cores with everything else, and threads that wait for each other cost more than they bring: a
 * drain over WebSocket takes an eighth less CPU with these.
 */
const fewThreads = {
  numIOThreads: "2",
  numOrderedExecutorThreads: "2",
  numExecutorThreadPoolSize: "2",
  numCacheExecutorThreadPoolSize: "1",
  topicOrderedExecutorThreadNum: "2",
  webSocketNumIoThreads: "2",
  webSocketNumServiceThreads: "2",
  webSocketConnectionsPerBroker: "2",
  managedLedgerNumWorkerThreads: "1",
  managedLedgerNumSchedulerThreads: "1",
  bookkeeperClientNumWorkerThreads: "1",
  bookkeeperClientNumIoThreads: "1",
  serverNumIOThreads: "2",
  numReadWorkerThreads: "1",
} as const;

/**
 * Each WebSocket upgrade keeps one of them until its producer, consumer or reader exists, and requests have none
 * left meanwhile, the health check included. After a start dozens of clients come at once. Those that nobody needs
 * are never made.
 */
const numHttpServerThreads = "64";

/**
 * A consumer that is connected and minutes behind is still served from memory, which halves the broker's work
 * for it. By default that ends after a second, or a thousand messages.
 */
const longCache = {
  managedLedgerCacheSizeMB: "256",
  managedLedgerCacheEvictionTimeThresholdMillis: "600000",
  managedLedgerCursorBackloggedThreshold: "10000000",
} as const;

/** The distribution's standalone.conf with our values in the place of its own. */
function standaloneConfiguration(
  installationDirectory: string,
  ports: { binary: number; http: number },
  overrides: Readonly<Record<string, string>>,
): string {
  const settings: Record<string, string> = {
    brokerServicePort: String(ports.binary),
    webServicePort: String(ports.http),
    bindAddress: "127.0.0.1",
    advertisedAddress: "127.0.0.1",
    listeningInterface: loopbackInterface(),
    // A topic is part of the ledger also while nobody is connected.
    brokerDeleteInactiveTopicsEnabled: "false",
    brokerDeduplicationEnabled: "false",
    webSocketServiceEnabled: "true",
    ...fewThreads,
    numHttpServerThreads,
    // Larger reads of the ledger cost less for each message; the default is 100.
    dispatcherMaxReadBatchSize: "500",
    ...longCache,
    ...overrides,
  };
  const given = readFileSync(join(installationDirectory, "conf", "standalone.conf"), "utf8").split("\n");
  const kept = given.filter((line) => !((line.split("=")[0] ?? "") in settings));
  const ours = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
  return `${[...kept, ...ours].join("\n")}\n`;
}

/** Its name differs between systems (lo, lo0); without it the bookie listens on every interface. */
function loopbackInterface(): string {
  const interfaces = Object.entries(networkInterfaces());
  const loopback = interfaces.find(([, addresses]) =>
    addresses?.some((each) => each.address === "127.0.0.1"),
  );
  return loopback?.[0] ?? "";
}

/** What a backlog of a million updates takes, by the WebSocket API, beside the rest. */
const MEMORY = {
  quick: "-Xmx1g -XX:MaxDirectMemorySize=1g",
  full: "-Xmx2g -XX:MaxDirectMemorySize=4g",
} as const;

function javaEnvironment(
  directory: string,
  configuration: string,
  tuning: "quick" | "full",
): Record<string, string> {
  // The collector that the distribution chooses touches its whole heap at start and wants cores of its own.
  const collector = tuning === "quick" ? "-XX:+UseSerialGC -XX:TieredStopAtLevel=1" : "-XX:+UseParallelGC";
  return {
    PULSAR_STANDALONE_CONF: configuration,
    PULSAR_MEM: `-Xms256m ${MEMORY[tuning]}`,
    PULSAR_GC: `${collector} -XX:+PerfDisableSharedMem`,
    PULSAR_GC_LOG: " ",
    // Native parts are unpacked at each start and stay behind after a SIGKILL; the rest is the script's default.
    PULSAR_EXTRA_OPTS: [
      `-Djava.io.tmpdir=${join(directory, "tmp")}`,
      "-Dpulsar.allocator.exit_on_oom=true",
      "-Dio.netty.recycler.maxCapacityPerThread=4096",
    ].join(" "),
    PULSAR_LOG_DIR: join(directory, "logs"),
    PULSAR_LOG_LEVEL: "warn",
    PULSAR_LOG_ROOT_LEVEL: "warn",
  };
}

/** A broker that is busy with its start takes its time, and each question that nobody waits for adds to it. */
const healthCheckTimeoutMs = 20_000;

/** True when the broker could produce and consume a message; rejects when nothing answers. */
export async function brokerIsHealthy(admin: string): Promise<boolean> {
  const signal = AbortSignal.timeout(healthCheckTimeoutMs);
  const answer = await fetch(`${admin}/admin/v2/brokers/health`, { signal });
  return answer.ok && (await answer.text()).trim() === "ok";
}
