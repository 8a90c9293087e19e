/**
 * The audience-update service as a process: reads the settings, opens the adapters that the URLs name, starts
 * the service, and on SIGTERM drains and leaves.
 */
import { setFlagsFromString } from "node:v8";
import {
  openExistingQueues,
  openPrimaryQueue,
  openStores,
  openSubscriptionReader,
  setUpPulsar,
} from "../../shared/adapters/open.ts";
import { createLifecycle, shutdownSignal } from "../../shared/runtime/lifecycle.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { runProgram } from "../../shared/runtime/program.ts";
import { readSettings } from "../../shared/runtime/settings.ts";
import { startAudienceUpdate } from "./audience-update.ts";
import { MAX_COMPLETIONS_UNDER_WAY } from "./queue-completion.ts";
import { audienceUpdateSettings } from "./settings.ts";
import { waitingQueueUrls } from "./waiting-queues.ts";

// Two habits of V8 that cost this process a quarter of its CPU (NODE_OPTIONS takes neither of them). What outlived
// a few collections is allocated among the old objects from then on: updates under way look like that, and
// each then keeps its whole round alive until the next full collection. And young objects are collected by
// several threads, which wait for each other more than they help.
setFlagsFromString("--no-allocation-site-pretenuring");
setFlagsFromString("--no-parallel-scavenge");
// How much the old objects may grow, in percent of what was alive, until they are collected. Left to itself V8 lets them
// become three to four times as many, since collecting is cheap beside so much that dies young: 130 MB more at the peak.
setFlagsFromString("--heap-growing-percent=80");

await runProgram(
  {
    about: "audience-update: applies updates from Pulsar and SQS to profiles in Redis.",
    settings: audienceUpdateSettings,
  },
  run,
);

async function run(): Promise<void> {
  const signal = shutdownSignal();
  const settings = readSettings(audienceUpdateSettings, process.env);
  const log = createLog("audience-update", settings.logLevel);
  const lifecycle = createLifecycle(log);
  const primary = lifecycle.own("primary queue", await openPrimaryQueue(settings, log));
  const urls = waitingQueueUrls(settings);
  const waiting = { ...settings, maxInFlightMessages: MAX_COMPLETIONS_UNDER_WAY };
  // Without them nothing that comes over SQS, or changes a membership, could be acknowledged.
  const queues = {
    fallback: settings,
    ledgerQueue: { ...waiting, sqsQueueUrl: urls.ledger },
    changesQueue: { ...waiting, sqsQueueUrl: urls.changes },
  };
  const { fallback, ledgerQueue, changesQueue } = await openExistingQueues(queues, lifecycle, log);
  const { connection, ...stores } = openStores(settings);
  lifecycle.own("Redis", connection);
  log.info(
    {
      primary: primary.description,
      fallback: fallback.description,
      ledgerQueue: ledgerQueue.description,
      changesQueue: changesQueue.description,
      store: stores.store.description,
    },
    "adapters",
  );
  if (settings.readToken === "")
    log.warn("READ_TOKEN is not set: whoever reaches the port may read profiles");
  lifecycle.own("Pulsar set-up", setUpPulsar(settings, log));
  const service = lifecycle.own(
    "audience-update",
    await startAudienceUpdate({
      primary,
      fallback,
      ledgerQueue,
      changesQueue,
      ...stores,
      readSubscription: openSubscriptionReader(settings),
      settings,
      log,
      waiting: { ledger: ledgerQueue.waiting, changes: changesQueue.waiting },
    }),
  );
  log.info({ adminUrl: service.adminUrl }, "started");
  log.info({ signal: await signal }, "stopping");
  await lifecycle.close();
  log.info("stopped");
  // A look-up of a name or a poll that is under way would keep the process past the grace period of its host.
  process.exit();
}
