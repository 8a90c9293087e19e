/** Writes the settings tables into the README, between their markers; `--check` only says whether they differ. */
import { readFileSync, writeFileSync } from "node:fs";
import { audienceUpdateSettings } from "../services/audience-update/settings.ts";
import { cliSettings } from "../services/cli/settings.ts";
import { publisherSettings } from "../shared/runtime/connection-settings.ts";
import { settingsTable } from "../shared/runtime/settings.ts";

const README = new URL("../README.md", import.meta.url);

/** The README with its tables made anew. */
export function withSettingsTables(readme: string): string {
  const tables = {
    "audience-update": audienceUpdateSettings,
    publisher: publisherSettings,
    keyline: cliSettings,
  };
  return Object.entries(tables).reduce((text, [name, settings]) => {
    const marked = new RegExp(`(<!-- settings ${name} -->\n)[\\s\\S]*?(\n<!-- end -->)`);
    return text.replace(
      marked,
      (_, start: string, end: string) => `${start}${settingsTable(settings)}${end}`,
    );
  }, readme);
}

if (import.meta.main) {
  const before = readFileSync(README, "utf8");
  const after = withSettingsTables(before);
  if (process.argv.includes("--check") && before !== after) process.exitCode = 1;
  else writeFileSync(README, after);
}
