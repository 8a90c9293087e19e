#!/usr/bin/env node
/**
 * `keyline`: what an operator does by hand. Exits with 0 when all went well, 1 when not, 2 for wrong use, and where
 * `definitions` or `import` can't say or do what was asked for.
 */
import { readFileSync } from "node:fs";
import { findPackageJSON } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { Command, CommanderError } from "commander";
import { openPulsar } from "../../shared/adapters/open.ts";
import { authorization, createPulsarAdmin } from "../../shared/adapters/pulsar-admin/pulsar-admin.ts";
import { subscriptionBacklog } from "../../shared/adapters/pulsar-admin/subscription-backlog.ts";
import type { PrimaryQueue, Topic } from "../../shared/ports/primary-queue.ts";
import type { Producer } from "../../shared/ports/update-queue.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { type Settings, settingsHelp } from "../../shared/runtime/settings.ts";
import { DEAD_LETTER_SUBSCRIPTION as subscription, topicsOf } from "../../shared/runtime/topics.ts";
import { createDefinitionClient } from "./definitions/definition-client.ts";
import { definitionsCommand } from "./definitions/definitions-command.ts";
import { type DeadLetters, dlqCommand } from "./dlq/dlq-command.ts";
import { openLetterBox } from "./dlq/letter-box.ts";
import { importCommand } from "./import/import-command.ts";
import {
  definitionsSettings,
  dlqSettings,
  importSettings,
  readCliSettings,
  readDefinitionsSettings,
  readImportSettings,
  readTenantSettings,
  tenantSettings,
} from "./settings.ts";
import { createTenantClient } from "./tenant/tenant-client.ts";
import { tenantCommand } from "./tenant/tenant-command.ts";

const WRONG_USE = [
  "bad_settings",
  "no_selection",
  "selection_conflict",
  "bad_letter_id",
  "not_confirmed",
  "bad_definition_file",
  "bad_schema_file",
  "would_delete_all",
  "no_tenant",
  "tenant_conflict",
];
/** For a connection, for an answer to a send, and for each letter. */
const PATIENCE_MS = 10_000;
const RETRY_MS = 20;

// A reader such as `head` that has enough.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

const stopping = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    if (stopping.signal.aborted) process.exit(1);
    stopping.abort();
  });
}

const output = {
  out: (line: string) => console.log(line),
  complain: (line: string) => console.error(line),
};
const dlq = dlqCommand({
  open: openDeadLetters,
  signal: stopping.signal,
  output,
  onUnfinished: () => {
    process.exitCode = 1;
  },
});
/** Of `definitions` 1 means a difference, of `import` refused lines. */
let failureCode = 1;
const definitions = definitionsCommand({
  open(given) {
    failureCode = 2;
    const { keylineUrl, adminToken } = readDefinitionsSettings(given, process.env);
    return createDefinitionClient({ url: keylineUrl, token: adminToken });
  },
  output,
  onDifference: () => {
    process.exitCode = 1;
  },
});
const tenant = tenantCommand({
  open(given) {
    const { gatewayUrl, adminToken } = readTenantSettings(given, process.env);
    return createTenantClient({ url: gatewayUrl, token: adminToken });
  },
  output,
});
const files = importCommand({
  open(given) {
    failureCode = 2;
    return readImportSettings(given, process.env);
  },
  signal: stopping.signal,
  output,
  onRefused: () => {
    process.exitCode = 1;
  },
  onUnfinished: () => {
    process.exitCode = 2;
  },
});
try {
  const keyline = new Command("keyline").description("Keyline, by hand.").exitOverride();
  keyline
    .version(ownVersion())
    .addCommand(reading(dlqSettings, dlq))
    .addCommand(reading(definitionsSettings, definitions))
    .addCommand(reading(tenantSettings, tenant))
    .addCommand(reading(importSettings, files))
    .addHelpText("after", "\nEach command's own help says which settings it reads from the environment.");
  await keyline.parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}

/** From the package.json above, which is another step away once this is compiled. */
function ownVersion(): string {
  const file = findPackageJSON("..", import.meta.url)!;
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/** Says what it reads in the help of each of its commands. */
function reading(settings: Settings, command: Command): Command {
  // Only commands made by `command()` take it from the one above.
  for (const each of [command, ...command.commands]) each.exitOverride();
  return command.addHelpText(
    "afterAll",
    `
Settings, from the environment:
${settingsHelp(settings)}`,
  );
}

function exitCodeOf(error: unknown): number {
  // commander has said it itself.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (!(error instanceof KeylineError)) throw error;
  console.error(`${error.code}: ${error.message}${error.retryable ? " (may be tried again)" : ""}`);
  return WRONG_USE.includes(error.code) ? 2 : failureCode;
}

async function openDeadLetters(): Promise<DeadLetters> {
  const settings = readCliSettings(process.env);
  const topics = topicsOf(settings.pulsarNamespace);
  const admin = createPulsarAdmin(settings.pulsarAdminUrl, {
    timeoutMs: PATIENCE_MS,
    headers: authorization(settings.pulsarToken),
  });
  let problem: string | undefined;
  const queue = await openPulsar(settings, ({ message }) => {
    problem = message;
  });
  const options = { queue, topic: topics.deadLetter, subscription, patienceMs: PATIENCE_MS };
  try {
    const box = await openLetterBox({
      ...options,
      backlog: () => subscriptionBacklog(admin, topics.deadLetter, subscription),
      problem: () => problem,
    });
    return { box, producer: () => connectedProducer(queue, topics.updates), close: queue.close };
  } catch (error) {
    await queue.close();
    throw error;
  }
}

/** @throws KeylineError `queue_not_connected` */
async function connectedProducer(queue: PrimaryQueue, topic: Topic): Promise<Producer> {
  const producer = queue.producer({ topic, sendTimeoutMs: PATIENCE_MS, maxPending: 1 });
  const deadline = Date.now() + PATIENCE_MS;
  while (!producer.connected()) {
    if (Date.now() > deadline) {
      const text = `no connection to ${topic} within ${PATIENCE_MS} ms: nothing was replayed`;
      throw new KeylineError("queue_not_connected", text, { retryable: true });
    }
    await sleep(RETRY_MS);
  }
  return producer;
}
