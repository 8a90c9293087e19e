import { pino } from "pino";
import { type Gateway, startGateway } from "../../services/gateway/gateway.ts";
import { createMemoryDocumentStore } from "../../shared/adapters/memory/memory-document-store.ts";
import { createMemoryLinkStore } from "../../shared/adapters/memory/memory-link-store.ts";
import { createMemoryRateStore } from "../../shared/adapters/memory/memory-rate-store.ts";
import type { RateStore } from "../../shared/ports/rate-store.ts";
import type { PublishResult, Receipt } from "../../shared/publish/publisher.ts";
import { envelopeOf, type UpdateInput } from "../../shared/publish/update-input.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";

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
  maxBodyBytes = 67_108_864,
  maxImportBytes = 1_073_741_824,
  rateStore = createMemoryRateStore({ maxBuckets: 10, now: () => nowMs }),
}: {
  adminToken: string;
  nowMs: number;
  maxBodyBytes?: number;
  maxImportBytes?: number;
  rateStore?: RateStore;
}): Promise<MemoryGateway> {
  const published: UpdateInput[] = [];
  let failure: Error | undefined;
  let refused = 0;
  let durable: Promise<void> | undefined;

  function publish(input: UpdateInput): Receipt {
    const update = envelopeOf(input, nowMs);
    if (failure) {
      refused += 1;
      throw failure;
    }
    published.push(input);
    return { id: update.id ?? `made-${published.length}`, path: "pulsar", src: "s", seq: 1, stamp: 1 };
  }

  const gateway = await startGateway({
    publisher: {
      async publishAll(inputs, checked) {
        const results = inputs.map((input) => resultOf(() => publish(input), checked));
        await durable;
        return results;
      },
    },
    tenantStore: createMemoryDocumentStore({ maxEntries: 10 }),
    schemaStore: createMemoryDocumentStore({ maxEntries: 10 }),
    rateStore,
    linkStore: createMemoryLinkStore({ maxUsers: 1_000 }),
    localRateStore: createMemoryRateStore({ maxBuckets: 10, now: () => nowMs }),
    settings: {
      ...{ gatewayHost: "127.0.0.1", gatewayPort: 0, adminToken },
      ...{ maxUnderWay: MAX_UNDER_WAY, maxBodyBytes, maxImportBytes },
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

/** As the publisher has it of many at once; but it checks what comes as `checked` too, and throws where it is not. */
export function resultOf(publish: () => Receipt, checked?: "checked"): PublishResult {
  try {
    return publish();
  } catch (error) {
    if (!(error instanceof KeylineError)) throw error;
    if (checked && error.code === "invalid_update") throw new Error(`not checked: ${error.message}`);
    return error;
  }
}
