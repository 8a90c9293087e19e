/**
 * Sends to one queue in packs (`sqs-pack.ts`): what comes within a moment, or while a request is under way, goes out
 * together.
 */
import { packedSizeBytes } from "../../domain/pack.ts";
import type { OutgoingMessage } from "../../ports/update-queue.ts";
import { encodePack, packFrameBytes } from "./sqs-pack.ts";
import type { SqsRequests } from "./sqs-requests.ts";
import { type Pending, type SendsOptions, type SqsSends, sendParcels } from "./sqs-sends.ts";

/** Messages in one pack, at most. */
const MAX_PACKED = 100;
/** SQS counts every 64 KiB as a request. A longer message goes alone. */
const MAX_PACK_BYTES = 65_536;
/** Each request costs far more than a message in it, and nobody waits for these but a place in flight. */
const GATHER_MS = 20;

export function createSqsPacks(requests: SqsRequests, options: SendsOptions): SqsSends<OutgoingMessage> {
  let waiting: Pending<OutgoingMessage>[] = [];
  let requestCount = 0;
  let gathering: NodeJS.Timeout | undefined;

  /** A pack that is not full goes out only after it was gathered for, and when no other is under way. */
  function flush(): void {
    while (requestCount < options.maxConcurrentRequests && waiting.length > 0) {
      const length = packLength(waiting);
      const isFull = length === MAX_PACKED || length < waiting.length;
      if (!isFull && (requestCount > 0 || gathering !== undefined)) return;
      const pack = waiting.slice(0, length).filter(({ settled }) => !settled);
      waiting = waiting.slice(length);
      if (pack.length > 0) void run(pack);
    }
  }

  async function run(pack: readonly Pending<OutgoingMessage>[]): Promise<void> {
    requestCount++;
    const messages = pack.map(({ content }) => content);
    await sendParcels(requests, [{ entry: encodePack(messages, options.refusedCharacters), holds: pack }]);
    requestCount--;
    flush();
  }

  return {
    encode: (message) => ({ content: message, group: "", sizeBytes: packedSizeBytes(message) }),
    push(pending) {
      waiting.push(pending);
      gathering ??= setTimeout(() => {
        gathering = undefined;
        flush();
      }, GATHER_MS);
      if (waiting.length >= MAX_PACKED) flush();
    },
  };
}

/** How many of the first fit into one pack. */
function packLength(waiting: readonly Pending<OutgoingMessage>[]): number {
  let bytes = packFrameBytes;
  let length = 0;
  for (const { sizeBytes } of waiting) {
    bytes += sizeBytes;
    if (length === MAX_PACKED || (length > 0 && bytes > MAX_PACK_BYTES)) break;
    length += 1;
  }
  return length;
}
