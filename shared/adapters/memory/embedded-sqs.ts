/** The queues of the embedded mode: an SQS server inside this process, the real adapter on top of it. */
import { CreateQueueCommand, SQSClient, type SQSClientConfig } from "@aws-sdk/client-sqs";
import { buildApp } from "fauxqs";
import type { UpdateQueue } from "../../ports/update-queue.ts";
import { createSqs, type SqsOptions } from "../sqs/sqs.ts";

export type EmbeddedSqsOptions = Partial<
  Omit<SqsOptions, "queueUrl" | "packed" | "region" | "endpoint" | "credentials">
> & {
  /** SQS queues behind each of the three, over which keys are spread. Default 1. */
  queueCount?: number;
};

export type EmbeddedSqs = {
  queue: UpdateQueue;
  ledgerQueue: UpdateQueue;
  changesQueue: UpdateQueue;
  close(): Promise<void>;
};

const defaults = {
  maxPending: 10_000,
  sendTimeoutMs: 5_000,
  pollers: 4,
  maxPrefetched: 200,
  visibilityTimeoutSeconds: 30,
  // The server serves a poll to its end even when the client has gone, and what it then takes is invisible
  // until the visibility timeout: keep such polls short.
  longPollSeconds: 1,
  // Unlike SQS the server refuses what lies beyond U+FFFF too. Escaped, it is three times as long; the server takes
  // messages of 1 MiB, so that an update of `MAX_UPDATE_BYTES` has room all the same.
  refusedCharacters: /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd]/,
  maxBatchBytes: 1_048_576,
};

/** Listens on a free port of 127.0.0.1; everything is lost at `close`. Remembers the last 10,000 deduplication ids. */
export async function startEmbeddedSqs(options: EmbeddedSqsOptions = {}): Promise<EmbeddedSqs> {
  const server = buildApp({ logger: false });
  const endpoint = await server.listen({ port: 0, host: "127.0.0.1" });
  const access = {
    region: "us-east-1",
    credentials: { accessKeyId: "embedded", secretAccessKey: "embedded" },
  };
  const open = async (name: string, packed = false): Promise<UpdateQueue> => {
    const { queueCount = 1 } = options;
    const names = Array.from({ length: queueCount }, (_, index) =>
      queueCount === 1 ? `${name}.fifo` : `${name}-${index}.fifo`,
    );
    for (const each of names) await createQueue(each, { endpoint, ...access });
    const queueUrl = names.map((each) => `${endpoint}/000000000000/${each}`).join(",");
    const queue = createSqs({ ...defaults, ...options, ...access, queueUrl, packed });
    return { ...queue, description: `embedded ${queue.description}` };
  };
  const queue = await open("updates");
  const ledgerQueue = await open("updates-ledger", true);
  const changesQueue = await open("updates-changes");
  return {
    queue,
    ledgerQueue,
    changesQueue,
    async close() {
      await Promise.all([queue.close(), ledgerQueue.close(), changesQueue.close()]);
      await server.close();
    },
  };
}

async function createQueue(name: string, access: SQSClientConfig): Promise<void> {
  const client = new SQSClient(access);
  try {
    await client.send(new CreateQueueCommand({ QueueName: name, Attributes: { FifoQueue: "true" } }));
  } finally {
    client.destroy();
  }
}
