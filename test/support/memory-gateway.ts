import { pino } from "pino";
import { type Gateway, startGateway } from "../../services/gateway/gateway.ts";
import { createMemoryDocumentStore } from "../../shared/adapters/memory/memory-document-store.ts";
import { createMemoryRateStore } from "../../shared/adapters/memory/memory-rate-store.ts";
import type { RateStore } from "../../shared/ports/rate-store.ts";
import type { Receipt } from "../../shared/publish/publisher.ts";
import { envelopeOf, type UpdateInput } from "../../shared/publish/update-input.ts";

export type MemoryGateway = Gateway & {
  /** What its publisher was given and took. */
  published: UpdateInput[];
  /** What the publisher rejects with, from now on. */
  failWith(error: Error | undefined): void;
  /** How often it did. */
  refused(): number;
  /** What it takes from now on is durable only then. */
  answerAfter(moment: Promise<void>): void;
};

const MAX_UNDER_WAY = 1_500;

/** A gateway in this process, on stores in memory, whose publisher checks as the real one does and keeps. */
export async function startMemoryGateway({
  adminToken,
  nowMs,
  maxImportBytes = 1_073_741_824,
  rateStore = createMemoryRateStore({ maxBuckets: 10, now: () => nowMs }),
}: {
  adminToken: string;
  nowMs: number;
  maxImportBytes?: number;
  rateStore?: RateStore;
}): Promise<MemoryGateway> {
  const published: UpdateInput[] = [];
  let failure: Error | undefined;
  let refused = 0;
  let durable: Promise<void> | undefined;
  const gateway = await startGateway({
    publisher: {
      async publish(input): Promise<Receipt> {
        const update = envelopeOf(input, nowMs);
        if (failure) {
          refused += 1;
          throw failure;
        }
        published.push(input);
        const number = published.length;
        await durable;
        return { id: update.id ?? `made-${number}`, path: "pulsar", src: "s", seq: 1, stamp: 1 };
      },
    },
    tenantStore: createMemoryDocumentStore({ maxEntries: 10 }),
    schemaStore: createMemoryDocumentStore({ maxEntries: 10 }),
    rateStore,
    localRateStore: createMemoryRateStore({ maxBuckets: 10, now: () => nowMs }),
    settings: {
      ...{ gatewayHost: "127.0.0.1", gatewayPort: 0, adminToken },
      ...{ maxUnderWay: MAX_UNDER_WAY, maxImportBytes },
    },
    log: pino({ level: "silent" }),
    now: () => nowMs,
  });
  return {
    ...gateway,
    published,
    failWith(error) {
      failure = error;
    },
    refused: () => refused,
    answerAfter(moment) {
      durable = moment;
    },
  };
}
