/** The test servers as containers, by testcontainers. */
import { setTimeout as delay } from "node:timers/promises";
import { GenericContainer, getContainerRuntimeClient, ImageName, Wait } from "testcontainers";
import { localStackVersion } from "../../deploy/local/localstack.ts";
import { freePulsarPorts } from "../../deploy/local/pulsar.ts";
import { pulsarVersion } from "../../deploy/local/pulsar-installation.ts";
import { redisArguments, redisSettings } from "../../deploy/local/redis.ts";
import {
  clusterSettings,
  clusterUrl,
  freeClusterPorts,
  joinMasters,
} from "../../deploy/local/redis-cluster.ts";

const pulsarImage = `apachepulsar/pulsar:${pulsarVersion}`;
const localStackImage = `localstack/localstack:${localStackVersion}`;
const redisImage = "redis:7.4.5-alpine";
const detectTimeoutMs = 10_000;
const startTimeoutMs = 180_000;

/** A container engine that answers. */
export type Containers = Awaited<ReturnType<typeof getContainerRuntimeClient>>;

/** Undefined where no engine answers. */
export async function detectContainers(): Promise<Containers | undefined> {
  const timeLimit = new AbortController();
  const late = delay(detectTimeoutMs, undefined, { signal: timeLimit.signal, ref: false });
  try {
    return await Promise.race([getContainerRuntimeClient(), late]);
  } catch {
    return undefined;
  } finally {
    timeLimit.abort();
    late.catch(() => {});
  }
}

/** Pulsar tells its clients where it is, so the ports inside and outside of the container must be the same. */
export async function containerPulsar(containers: Containers) {
  await requireImage(containers, pulsarImage);
  const ports = await freePulsarPorts();
  const container = await new GenericContainer(pulsarImage)
    .withExposedPorts(same(ports.binary), same(ports.http))
    .withEnvironment({
      brokerServicePort: String(ports.binary),
      webServicePort: String(ports.http),
      advertisedAddress: "127.0.0.1",
      brokerDeleteInactiveTopicsEnabled: "false",
      PULSAR_MEM: "-Xms256m -Xmx1g -XX:MaxDirectMemorySize=512m",
      PULSAR_STANDALONE_USE_ZOOKEEPER: "0",
    })
    .withCommand([
      "sh",
      "-c",
      "bin/apply-config-from-env.py conf/standalone.conf && exec bin/pulsar standalone --no-functions-worker --no-stream-storage",
    ])
    .withWaitStrategy(Wait.forHttp("/admin/v2/brokers/health", ports.http).forStatusCode(200))
    .withStartupTimeout(startTimeoutMs)
    .start();
  const value = {
    pulsarUrl: `pulsar://127.0.0.1:${ports.binary}`,
    pulsarWebSocketUrl: `ws://127.0.0.1:${ports.http}`,
    pulsarAdminUrl: `http://127.0.0.1:${ports.http}`,
  };
  return { value, stop: () => ended(container.stop()) };
}

export async function containerLocalStack(containers: Containers) {
  await requireImage(containers, localStackImage);
  const container = await new GenericContainer(localStackImage)
    .withExposedPorts(4566)
    .withEnvironment({
      SERVICES: "sqs",
      EAGER_SERVICE_LOADING: "1",
      DISABLE_EVENTS: "1",
      SQS_ENDPOINT_STRATEGY: "dynamic",
    })
    .withWaitStrategy(Wait.forHttp("/_localstack/health", 4566).forStatusCode(200))
    .withStartupTimeout(startTimeoutMs)
    .start();
  const value = `http://${container.getHost()}:${container.getMappedPort(4566)}`;
  return { value, stop: () => ended(container.stop()) };
}

export async function containerRedis(containers: Containers) {
  await requireImage(containers, redisImage);
  const container = await new GenericContainer(redisImage)
    .withExposedPorts(6379)
    .withCommand(["redis-server", ...redisArguments(redisSettings)])
    .withWaitStrategy(Wait.forLogMessage("Ready to accept connections"))
    .withStartupTimeout(startTimeoutMs)
    .start();
  const value = `redis://${container.getHost()}:${container.getMappedPort(6379)}`;
  return { value, stop: () => ended(container.stop()) };
}

/** All masters in one container: they tell each other and the clients the same address, 127.0.0.1. */
export async function containerRedisCluster(containers: Containers) {
  await requireImage(containers, redisImage);
  const ports = await freeClusterPorts();
  const commands = ports.clients.map((port, index) => {
    const settings = { port: String(port), dir: `/data/${port}`, ...redisSettings };
    const parts = redisArguments({ ...settings, ...clusterSettings(ports.bus[index]!) });
    return `mkdir -p /data/${port} && redis-server ${parts.map((part) => `'${part}'`).join(" ")} &`;
  });
  const container = await new GenericContainer(redisImage)
    .withExposedPorts(...ports.clients.map(same))
    .withCommand(["sh", "-c", `${commands.join("\n")}\nwait`])
    .withWaitStrategy(Wait.forListeningPorts())
    .withStartupTimeout(startTimeoutMs)
    .start();
  try {
    await joinMasters(ports, 30_000);
  } catch (thrown) {
    await container.stop();
    throw thrown;
  }
  return { value: clusterUrl(ports), stop: () => ended(container.stop()) };
}

/** An engine that can't pull says so here, at once, before anything else is tried. */
async function requireImage(containers: Containers, image: string): Promise<void> {
  const name = ImageName.fromString(image);
  if (!(await containers.image.exists(name))) await containers.image.pull(name);
}

const same = (port: number) => ({ container: port, host: port });

async function ended(stopping: Promise<unknown>): Promise<void> {
  await stopping;
}
