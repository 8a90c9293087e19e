import type { Compression, PrimaryQueue } from "../../ports/primary-queue.ts";
import { KeylineError } from "../../runtime/errors.ts";
import { createOpenResources } from "../open-resources.ts";
import { createNativeConnection } from "./native-connection.ts";
import { createNativeConsumer } from "./native-consumer.ts";
import { loadNativeLibrary } from "./native-library.ts";
import { createNativeProducer } from "./native-producer.ts";
import { createNativeReader } from "./native-reader.ts";

export type PulsarNativeConfig = {
  /** `pulsar://host:port` or `pulsar+ssl://host:port`, several hosts with commas. */
  url: string;
  token?: string | undefined;
  /** Of what producers send; the client does it. Default "none". */
  compression?: Compression;
  /** Is told why a connection was lost or could not be made; connections come back by themselves. */
  onConnectionProblem?: ((problem: KeylineError) => void) | undefined;
  /** A connection that is not open after this time is given up and tried again. Default 2,000. */
  connectTimeoutMs?: number;
  /** The client is asked something each interval; two missing answers replace it. Default 1,000. */
  probeIntervalMs?: number;
  /** Bounds of the exponential wait between attempts. Defaults 100 and 2,000. */
  minBackoffMs?: number;
  maxBackoffMs?: number;
  /** How long closing one resource may take. Default 2,000. */
  closeTimeoutMs?: number;
};

/** Seconds, the finest that the client takes: for a lookup, a subscription, a new producer. */
const OPERATION_TIMEOUT_SECONDS = 3;

/**
 * Pulsar by its official client, which wraps the C++ client.
 *
 * @throws KeylineError `queue_url_invalid`, `pulsar_native_unavailable`
 */
export async function createPulsarNative(config: PulsarNativeConfig): Promise<PrimaryQueue> {
  const { url, token, compression = "none" } = config;
  if (!/^pulsar(\+ssl)?:\/\/[^/]/.test(url)) {
    throw new KeylineError("queue_url_invalid", `not a pulsar:// or pulsar+ssl:// address: ${url}`, {
      value: url,
    });
  }
  const onProblem = config.onConnectionProblem ?? (() => {});
  const library = await loadNativeLibrary();
  // The client's own log goes to standard output, outside this process's format; its errors reach the caller.
  library.Client.setLogHandler(() => {});
  const newClient = () =>
    new library.Client({
      serviceUrl: url,
      ...(token === undefined ? {} : { authentication: new library.AuthenticationToken({ token }) }),
      operationTimeoutSeconds: OPERATION_TIMEOUT_SECONDS,
      connectionTimeoutMs: config.connectTimeoutMs ?? 2_000,
      statsIntervalInSeconds: 0,
      logLevel: library.LogLevel.ERROR,
    });
  const connection = createNativeConnection(
    newClient,
    {
      probeIntervalMs: config.probeIntervalMs ?? 1_000,
      minBackoffMs: config.minBackoffMs ?? 100,
      maxBackoffMs: config.maxBackoffMs ?? 2_000,
      closeTimeoutMs: config.closeTimeoutMs ?? 2_000,
    },
    onProblem,
  );
  const open = createOpenResources();
  return {
    description: `Pulsar by its official client at ${url}`,
    producer: (options) => open.track(createNativeProducer(connection, compression, options)),
    consumer: (options) => open.track(createNativeConsumer(connection, options)),
    reader: (topic) => open.track(createNativeReader(library, connection, topic)),
    async close() {
      await open.closeAll();
      await connection.close();
    },
  };
}
