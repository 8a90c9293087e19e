import type { Reader as NativeReader } from "pulsar-client";
import type { Reader, Topic } from "../../ports/primary-queue.ts";
import { createReceiveQueue } from "../receive-queue.ts";
import type { NativeConnection } from "./native-connection.ts";
import type { NativeLibrary } from "./native-library.ts";

/** Messages of one `receive`, and what the native queue holds. */
const MAX_MESSAGES = 100;
/** Messages that wait for `receive`; beyond them the oldest are forgotten. */
const MAX_HELD = 1_000;

/**
 * Reads by a listener: `readNext` would hold a thread of libuv for as long as nothing comes. The listener must
 * never wait, because its thread also calls back for the consumers; so a reader that nobody asks forgets.
 */
export function createNativeReader(
  library: NativeLibrary,
  connection: NativeConnection,
  topic: Topic,
): Reader {
  let native: NativeReader | undefined;
  let held = 0;
  const queue = createReceiveQueue<string>((taken) => {
    held -= taken.length;
  });
  const kept = connection.keepOpen<NativeReader>(topic, {
    open: (client) =>
      client.createReader({
        topic,
        startMessageId: library.MessageId.latest(),
        receiverQueueSize: MAX_MESSAGES,
        listener(message) {
          if (held < MAX_HELD) held += 1;
          else queue.dropOldest();
          queue.push(message.getData().toString());
        },
      }),
    onOpen(opened) {
      native = opened;
    },
    onLost() {
      native = undefined;
    },
  });

  return {
    receive: () => queue.receive(MAX_MESSAGES),
    connected: () => native?.isConnected() === true,
    async close() {
      queue.end();
      await kept.close();
      native = undefined;
    },
  };
}
