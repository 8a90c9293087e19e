/** The command line of `keyline definitions`: what a tenant defines, kept in files. */
import { Command } from "commander";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import type { Output } from "../dlq/commands.ts";
import {
  type DefinitionChange,
  type DefinitionClient,
  type ListedDefinition,
  RefusedByService,
} from "./definition-client.ts";
import { type DefinitionFiles, readDefinitionFiles } from "./definition-files.ts";

export type DefinitionsOptions = {
  /** Reads the settings first. */
  open(): DefinitionClient;
  output: Output;
  /** Is called when files and service differ. */
  onDifference(): void;
};

type TenantOption = { tenant: string };

export function definitionsCommand({ open, output, onDifference }: DefinitionsOptions): Command {
  const definitions = new Command("definitions").description(
    "What a tenant defines: calculated attributes and audiences, kept in YAML files.",
  );

  withFiles(definitions.command("apply"))
    .description("Puts what the files define in the place of all that the tenant has, in one step.")
    .option("--dry-run", "say what it would do, and change nothing")
    .action(async (paths: string[], { tenant, dryRun = false }: TenantOption & { dryRun?: boolean }) => {
      const change = await put(open(), tenant, readDefinitionFiles(paths), dryRun);
      sayChange(change, output);
      if (isNothing(change)) output.out(`nothing to change: version ${change.version}`);
      else output.out(dryRun ? "nothing was changed" : `applied: version ${change.version}`);
    });

  withFiles(definitions.command("diff"))
    .description("Says what apply would change. Exits with 0 for nothing, 1 for something, 2 on errors.")
    .action(async (paths: string[], { tenant }: TenantOption) => {
      const change = await put(open(), tenant, readDefinitionFiles(paths), true);
      sayChange(change, output);
      if (!isNothing(change)) onDifference();
    });

  withTenant(definitions.command("list"))
    .description("One line each: what it is, type, version, since, cost; then which consumers have them.")
    .option("--json", "all of it as JSON")
    .action(async ({ tenant, json = false }: TenantOption & { json?: boolean }) => {
      const all = await open().list(tenant);
      if (json) return output.out(JSON.stringify(all));
      for (const part of ["attributes", "audiences"] as const)
        for (const each of all[part]) output.out(lineOf(part, each));
      for (const { name, version, upToDate } of all.consumers)
        output.out(`consumer ${name}  version ${version}${upToDate ? "" : ", not up to date"}`);
      output.out(`version ${all.version}`);
    });
  return definitions;
}

function withTenant(command: Command): Command {
  return command.requiredOption("--tenant <tenant>", "whose");
}

function withFiles(command: Command): Command {
  return withTenant(command.argument("<files...>", "YAML files, or folders of them"));
}

/** What the service refuses is said with the place in the files. */
async function put(
  client: DefinitionClient,
  tenant: string,
  { set, placeOf }: DefinitionFiles,
  dryRun: boolean,
): Promise<DefinitionChange> {
  try {
    return await client.put(tenant, set, { dryRun });
  } catch (error) {
    if (!(error instanceof RefusedByService) || error.path === undefined) throw error;
    const place = placeOf(error.path);
    if (place === undefined) throw error;
    const { code, path, value, message } = error;
    throw new KeylineError(code, `${place}: ${message}`, { path, value });
  }
}

function isNothing({ added, changed, removed }: DefinitionChange): boolean {
  return added.length + changed.length + removed.length === 0;
}

function sayChange({ added, changed, removed }: DefinitionChange, { out }: Output): void {
  for (const path of added) out(`+ ${path}`);
  for (const path of changed) out(`~ ${path}`);
  for (const path of removed) out(`- ${path}`);
}

function lineOf(part: string, { name, type, version, since, enabled, cost }: ListedDefinition): string {
  const { evaluationsPerSecond, busyMsPerSecond, failures, lastError } = cost;
  const fields = [
    `${part}.${name}`,
    enabled ? (type ?? "?") : "disabled",
    `version ${version}`,
    `since ${since}`,
    `${evaluationsPerSecond.toFixed(1)}/s`,
    `${busyMsPerSecond.toFixed(2)} ms/s`,
  ];
  if (failures > 0) fields.push(`${failures} failed: ${lastError ?? "?"}`);
  return fields.join("  ");
}
