import type { CompressionType, Producer as NativeProducer } from "pulsar-client";
import type { Compression, ProducerOptions } from "../../ports/primary-queue.ts";
import type { Producer } from "../../ports/update-queue.ts";
import { toError } from "../../runtime/errors.ts";
import { createPendingSends } from "../pending-sends.ts";
import { notConnected, refusalNamed, refused, unanswered } from "../queue-errors.ts";
import type { NativeConnection } from "./native-connection.ts";

const TYPES: Record<Compression, CompressionType> = { none: "None", lz4: "LZ4", zstd: "ZSTD" };

export function createNativeProducer(
  connection: NativeConnection,
  compression: Compression,
  options: ProducerOptions,
): Producer {
  const { topic, sendTimeoutMs, maxPending } = options;
  const pending = createPendingSends(options);
  let native: NativeProducer | undefined;
  let closing = false;
  const kept = connection.keepOpen<NativeProducer>(topic, {
    open: (client) =>
      client.createProducer({
        topic,
        hashingScheme: "Murmur3_32Hash",
        messageRoutingMode: "UseSinglePartition",
        batchingEnabled: false,
        compressionType: TYPES[compression],
        blockIfQueueFull: false,
        sendTimeoutMs,
        maxPendingMessages: maxPending,
        maxPendingMessagesAcrossPartitions: maxPending,
      }),
    onOpen(opened) {
      native = opened;
    },
    onLost(_lost, problem) {
      native = undefined;
      // Whether the broker has them is unknown: their answers are lost with the client.
      pending.rejectAll(unanswered(topic, problem.message));
    },
  });
  const connected = () => native?.isConnected() === true && !closing;

  return {
    send(message) {
      if (native === undefined || !connected()) return Promise.reject(notConnected(topic, kept.problem()));
      if (pending.full()) return Promise.reject(refused(topic, `${maxPending} sends are under way`, true));
      const id = pending.nextId();
      const answered = pending.wait(id);
      native.send({ data: Buffer.from(message.payload), partitionKey: message.key }).then(
        () => pending.resolve(id),
        (thrown) => {
          // The client says which result of its C++ part it was, by name.
          const reason = toError(thrown).message;
          pending.reject(id, refusalNamed(topic, reason) ?? unanswered(topic, reason));
        },
      );
      return answered;
    },
    connected,
    async close() {
      closing = true;
      await pending.settled();
      await kept.close();
    },
  };
}
