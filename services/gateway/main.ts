/**
 * The gateway as a process: reads the settings, opens the adapters that the URLs name, starts it, and on SIGTERM
 * answers what it has and leaves.
 */
import { createMemoryRateStore } from "../../shared/adapters/memory/memory-rate-store.ts";
import { openStores } from "../../shared/adapters/open.ts";
import { connectPublisher } from "../../shared/publish/connect-publisher.ts";
import { createLifecycle, shutdownSignal } from "../../shared/runtime/lifecycle.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { runProgram } from "../../shared/runtime/program.ts";
import { readSettings } from "../../shared/runtime/settings.ts";
import { startGateway } from "./gateway.ts";
import { gatewaySettings } from "./settings.ts";

/** Of tenants that send while Redis is away. */
const MAX_LOCAL_BUCKETS = 100_000;

await runProgram(
  { about: "gateway: takes updates over HTTP and publishes them.", settings: gatewaySettings },
  run,
);

async function run(): Promise<void> {
  const signal = shutdownSignal();
  const settings = readSettings(gatewaySettings, process.env);
  const log = createLog("gateway", settings.logLevel);
  const lifecycle = createLifecycle(log);
  const { connection, tenantStore, schemaStore, rateStore, linkStore } = openStores(settings);
  lifecycle.own("Redis", connection);
  // By the same environment.
  const publisher = lifecycle.own("publisher", await connectPublisher({}, log));
  const gateway = lifecycle.own(
    "gateway",
    await startGateway({
      ...{ publisher, tenantStore, schemaStore, rateStore, linkStore, settings, log, now: Date.now },
      localRateStore: createMemoryRateStore({ maxBuckets: MAX_LOCAL_BUCKETS }),
    }),
  );
  log.info({ url: gateway.url }, "started");
  log.info({ signal: await signal }, "stopping");
  await lifecycle.close();
  log.info("stopped");
  process.exit();
}
