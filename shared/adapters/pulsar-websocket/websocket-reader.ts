import type { Reader, Topic } from "../../ports/primary-queue.ts";
import { createReceiveQueue } from "../receive-queue.ts";
import { type Endpoint, sessionUrl } from "./endpoint.ts";
import { openReconnectingSocket, type Session } from "./reconnecting-socket.ts";

type ReadMessage = { messageId: string; payload: string; session: Session };

/** Messages that the server sends ahead of `receive`. */
const MAX_PREFETCHED = 100;

export function createWebSocketReader(endpoint: Endpoint, topic: Topic): Reader {
  const url = sessionUrl(endpoint, "reader", topic, {
    messageId: "latest",
    receiverQueueSize: MAX_PREFETCHED,
  });
  const socket = openReconnectingSocket(endpoint, url, {
    onOpen() {},
    onMessage(data, session) {
      const { messageId, payload } = JSON.parse(data.toString()) as ReadMessage;
      queue.push({ messageId, payload, session });
    },
    onLost() {},
  });
  const queue = createReceiveQueue<ReadMessage>((messages) => {
    for (const { messageId, session } of messages) {
      // A reader's acknowledgement only asks for the next message.
      if (session === socket.session()) session.send(`{"messageId":"${messageId}"}`);
    }
  });

  return {
    async receive() {
      const messages = await queue.receive(MAX_PREFETCHED);
      return messages.map(({ payload }) => Buffer.from(payload, "base64").toString());
    },
    connected: () => socket.session() !== undefined,
    async close() {
      queue.end();
      await socket.close();
    },
  };
}
