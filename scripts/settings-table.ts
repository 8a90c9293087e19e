/**
 * Writes the settings tables into the documents that have them, between their markers; `--check` only says whether
 * they differ.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { audienceUpdateSettings } from "../services/audience-update/settings.ts";
import { cliSettings } from "../services/cli/settings.ts";
import { embeddedSettings } from "../services/embedded/settings.ts";
import { gatewaySettings } from "../services/gateway/settings.ts";
import { publisherSettings } from "../shared/runtime/publisher-settings.ts";
import { type Settings, settingsTable } from "../shared/runtime/settings.ts";

export const documentsWithSettings = ["README.md", "docs/settings.md"];

/** Beside what is required: what a first installation sets. */
const SET_FIRST = [
  "PULSAR_ADMIN_URL",
  "PULSAR_TOKEN",
  "PULSAR_SEND_TIMEOUT_MS",
  "ADMIN_PORT",
  "READ_TOKEN",
  "CANARY_TIMEOUT_MS",
  "PULSAR_PARTITIONS",
  "LEDGER_COMPLETIONS_PER_SECOND",
  "MAX_IN_FLIGHT_MESSAGES",
  "LOG_LEVEL",
];

const tables: Record<string, Settings> = {
  "most-used": mostUsed(audienceUpdateSettings),
  "audience-update": audienceUpdateSettings,
  publisher: publisherSettings,
  gateway: gatewaySettings,
  embedded: embeddedOwn(),
  keyline: cliSettings,
};

function mostUsed(settings: Settings): Settings {
  const chosen = Object.entries(settings).filter(
    ([, { env, default: without }]) => without === undefined || SET_FIRST.includes(env),
  );
  return Object.fromEntries(chosen);
}

/** What `npm start` has for itself, or with another default; the rest stands in the tables above it. */
function embeddedOwn(): Settings {
  const others: Settings[] = [audienceUpdateSettings, gatewaySettings, publisherSettings];
  const known = new Set(
    others.flatMap((settings) => Object.values(settings).map(({ env, default: value }) => `${env}=${value}`)),
  );
  const own = Object.entries(embeddedSettings).filter(
    ([, { env, default: value }]) => !known.has(`${env}=${value}`),
  );
  return Object.fromEntries(own);
}

/** A document with its tables made anew. */
export function withSettingsTables(document: string): string {
  return document.replace(
    /(<!-- settings (.+) -->\n)[\s\S]*?(<!-- end -->)/g,
    (_, start: string, name: string, end: string) => `${start}${settingsTable(tables[name]!)}\n${end}`,
  );
}

if (import.meta.main) {
  for (const document of documentsWithSettings) {
    const file = new URL(`../${document}`, import.meta.url);
    const before = readFileSync(file, "utf8");
    const after = withSettingsTables(before);
    if (process.argv.includes("--check") && before !== after) process.exitCode = 1;
    else writeFileSync(file, after);
  }
}
