import type { Compression, Topic } from "../../ports/primary-queue.ts";
import { KeylineError } from "../../runtime/errors.ts";
import { type ConnectAttempts, createConnectAttempts } from "./connect-attempts.ts";

export type PulsarWebSocketConfig = {
  /** `ws://host:port` or `wss://host:port`. */
  url: string;
  /** A Pulsar token, sent as `Authorization: Bearer`. */
  token?: string | undefined;
  /** Of what producers send; the broker does it. Default "none". */
  compression?: Compression;
  /** Is told why each connection was lost or could not be made; connections come back by themselves. */
  onConnectionProblem?: ((problem: KeylineError) => void) | undefined;
  /** A connection that is not open after this time is given up and tried again. Default 2,000. */
  connectTimeoutMs?: number;
  /** What that time grows to while attempts fail; see connect-attempts.ts. Default 30,000. */
  maxConnectTimeoutMs?: number;
  /** How many first attempts to connect are under way at once, and as many repeated ones; others wait. Default 4. */
  maxConnectsAtOnce?: number;
  /** A ping is sent each interval; two without any answer close the connection. Default 1,000. */
  pingIntervalMs?: number;
  /** New partitions of a consumed topic are noticed within this time. Default 30,000. */
  watchPartitionsMs?: number;
  /** The wait between attempts is random; its bound doubles from the first of these to the second. Defaults 100 and 2,000. */
  minBackoffMs?: number;
  maxBackoffMs?: number;
  /** How long `close` waits for the server's goodbye. Default 1,000. */
  closeTimeoutMs?: number;
  /** The server's `webSocketMaxTextFrameSize`: it closes the session for a larger frame. Default 1,048,576. */
  maxSentFrameBytes?: number;
  /** The largest frame that is accepted from the server. Default 16 MiB; Pulsar's own limit is 5 MiB a message. */
  maxReceivedFrameBytes?: number;
};

/** The configuration with its defaults filled in, and what connections to it know of each other. */
export type Endpoint = Required<
  Omit<
    PulsarWebSocketConfig,
    "token" | "onConnectionProblem" | "connectTimeoutMs" | "maxConnectTimeoutMs" | "maxConnectsAtOnce"
  >
> & {
  attempts: ConnectAttempts;
  token: string | undefined;
  onConnectionProblem: (problem: KeylineError) => void;
};

/** @throws KeylineError `queue_url_invalid` */
export function endpointOf(config: PulsarWebSocketConfig): Endpoint {
  const url = URL.canParse(config.url) ? new URL(config.url) : undefined;
  if (url === undefined || (url.protocol !== "ws:" && url.protocol !== "wss:") || url.host === "") {
    throw new KeylineError("queue_url_invalid", `not a ws:// or wss:// address: ${config.url}`, {
      value: config.url,
    });
  }
  return {
    url: `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, "")}`,
    token: config.token,
    compression: config.compression ?? "none",
    onConnectionProblem: config.onConnectionProblem ?? (() => {}),
    attempts: createConnectAttempts(
      config.connectTimeoutMs ?? 2_000,
      config.maxConnectTimeoutMs ?? 30_000,
      config.maxConnectsAtOnce ?? 4,
    ),
    pingIntervalMs: config.pingIntervalMs ?? 1_000,
    watchPartitionsMs: config.watchPartitionsMs ?? 30_000,
    minBackoffMs: config.minBackoffMs ?? 100,
    maxBackoffMs: config.maxBackoffMs ?? 2_000,
    closeTimeoutMs: config.closeTimeoutMs ?? 1_000,
    maxSentFrameBytes: config.maxSentFrameBytes ?? 1_048_576,
    maxReceivedFrameBytes: config.maxReceivedFrameBytes ?? 16 * 1_048_576,
  };
}

/**
 * The address of one session of Pulsar's WebSocket API.
 *
 * @throws KeylineError `topic_invalid`
 */
export function sessionUrl(
  endpoint: Endpoint,
  role: "producer" | "consumer" | "reader",
  topic: Topic,
  parameters: Record<string, string | number>,
  subscription?: string,
): string {
  const parts = /^(persistent|non-persistent):\/\/([^/]+)\/([^/]+)\/(.+)$/.exec(topic);
  if (parts === null) {
    throw new KeylineError(
      "topic_invalid",
      `not a topic such as persistent://public/keyline/updates: ${topic}`,
      { value: topic },
    );
  }
  const path = parts.slice(1).concat(subscription ?? []);
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) query.set(name, `${value}`);
  return `${endpoint.url}/ws/v2/${role}/${path.map(encodeURIComponent).join("/")}?${query}`;
}
