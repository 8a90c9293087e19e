/**
 * Receives from SQS and acknowledges, and does nothing else: what the service's client can do at best. With the
 * argument `copied` each message is first kept for the ledger, as the service does. A process of its own, with the
 * service's settings, which goes on until it is ended.
 */
import { createLedgerKeeper } from "../services/audience-update/ledger-keeper.ts";
import { restMs } from "../services/audience-update/rest.ts";
import { audienceUpdateSettings } from "../services/audience-update/settings.ts";
import { waitingQueueUrls } from "../services/audience-update/waiting-queues.ts";
import { openFallbackQueue } from "../shared/adapters/open.ts";
import type { Delivery } from "../shared/ports/update-queue.ts";
import { createLog } from "../shared/runtime/log.ts";
import { readSettings } from "../shared/runtime/settings.ts";

const log = createLog("bench", "error");
const settings = readSettings(audienceUpdateSettings, process.env);
const queue = await openFallbackQueue(settings, settings, log);
const consumer = queue.consumer();
const settle = process.argv[2] === "copied" ? await openKeeper() : consumer.acknowledge;
for (;;) void settle(await consumer.receive(500));

async function openKeeper(): Promise<(deliveries: readonly Delivery[]) => void> {
  const ledgerQueue = await openFallbackQueue(
    { ...settings, sqsQueueUrl: waitingQueueUrls(settings).ledger },
    settings,
    log,
    { packed: true },
  );
  const keeper = createLedgerKeeper({
    producer: ledgerQueue.producer(),
    restMs,
    onKept: () => {},
    onError: (error) => log.error(error),
  });
  return (deliveries) => {
    for (const delivery of deliveries)
      void keeper.keep(delivery).then(() => consumer.acknowledge([delivery]));
  };
}
