import type { ProducerOptions } from "../../ports/primary-queue.ts";
import type { OutgoingMessage, Producer } from "../../ports/update-queue.ts";
import type { KeylineError } from "../../runtime/errors.ts";
import { createPendingSends } from "../pending-sends.ts";
import { blocked, notConnected, refusalNamed, refused, unanswered } from "../queue-errors.ts";
import { type Endpoint, sessionUrl } from "./endpoint.ts";
import { openReconnectingSocket, type Session } from "./reconnecting-socket.ts";

/** The server's answer to one message. */
type Answer = { result: string; context?: string; errorMsg?: string };

/** UTF-8 takes at most three bytes for one UTF-16 unit. */
const MAX_BYTES_PER_UNIT = 3;

export function createWebSocketProducer(endpoint: Endpoint, options: ProducerOptions): Producer {
  const { topic, sendTimeoutMs, maxPending } = options;
  const pending = createPendingSends(options);
  let closing = false;
  const url = sessionUrl(endpoint, "producer", topic, {
    hashingScheme: "Murmur3_32Hash",
    batchingEnabled: "false",
    compressionType: endpoint.compression.toUpperCase(),
    sendTimeoutMillis: sendTimeoutMs,
    maxPendingMessages: maxPending,
  });
  const socket = openReconnectingSocket(endpoint, url, {
    onOpen() {},
    onMessage: (data, session) => settle(JSON.parse(data.toString()) as Answer, session),
    // Whether the broker has them is unknown: their answers are lost with the connection.
    onLost: (_session, problem) => pending.rejectAll(unanswered(topic, problem.message)),
  });

  function settle(answer: Answer, session: Session): void {
    const id = Number(answer.context);
    if (answer.result === "ok") {
      pending.resolve(id);
      return;
    }
    const reason = answer.errorMsg ?? answer.result;
    pending.reject(id, errorOf(topic, reason));
    if (isBroken(answer)) session.abandon(reason);
  }

  return {
    send(message) {
      const session = socket.session();
      if (session === undefined || closing) return Promise.reject(notConnected(topic, socket.problem()));
      if (pending.full()) return Promise.reject(refused(topic, `${maxPending} sends are under way`, true));
      const id = pending.nextId();
      const frame = frameOf(message, id);
      if (isLongerThan(frame, endpoint.maxSentFrameBytes)) {
        return Promise.reject(refused(topic, `larger than ${endpoint.maxSentFrameBytes} bytes`, false));
      }
      const answered = pending.wait(id);
      session.send(frame);
      return answered;
    },
    connected: () => !closing && socket.session() !== undefined,
    async close() {
      closing = true;
      await pending.settled();
      await socket.close();
    },
  };
}

function frameOf(message: OutgoingMessage, id: number): string {
  // Base64 and a number need no escaping.
  const payload = Buffer.from(message.payload).toString("base64");
  return `{"key":${JSON.stringify(message.key)},"payload":"${payload}","context":"${id}"}`;
}

function isLongerThan(frame: string, maxBytes: number): boolean {
  return frame.length * MAX_BYTES_PER_UNIT > maxBytes && Buffer.byteLength(frame) > maxBytes;
}

/** The server tells errors apart by the name of the Java exception only. */
function errorOf(topic: string, reason: string): KeylineError {
  if (/Timeout|AlreadyClosed|NotConnected|Fenced|ConnectException/i.test(reason)) {
    return unanswered(topic, reason);
  }
  return refusalNamed(topic, reason) ?? blocked(topic, reason);
}

/** True when the server's own producer is gone, or when it can't say which message it means. */
function isBroken(answer: Answer): boolean {
  return answer.context === undefined || /AlreadyClosed|Fenced|Terminated/i.test(answer.errorMsg ?? "");
}
