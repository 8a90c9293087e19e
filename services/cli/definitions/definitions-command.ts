/** The command line of `keyline definitions`: what a tenant defines, kept in files. */
import { Command } from "commander";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import type { Output } from "../dlq/commands.ts";
import { RefusedByService } from "../service-call.ts";
import { changeLines } from "./change-text.ts";
import type { DefinitionChange, DefinitionClient, ListedDefinition } from "./definition-client.ts";
import { type DefinitionFiles, readDefinitionFiles } from "./definition-files.ts";

export type DefinitionsOptions = {
  /** Reads the settings first; what is given on the command line stands above them. */
  open(given: ServiceOptions): DefinitionClient;
  output: Output;
  /** Is called when files and service differ. */
  onDifference(): void;
};

export type ServiceOptions = { url?: string; token?: string };
type ApplyOptions = { dryRun?: boolean; yes?: boolean };
type TenantOption = ServiceOptions & { tenant?: string };

/** Where no files are named. */
const DEFAULT_FOLDER = "definitions";

export function definitionsCommand({ open, output, onDifference }: DefinitionsOptions): Command {
  const definitions = new Command("definitions").description(
    "What a tenant defines: calculated attributes and audiences, kept in YAML files.",
  );

  async function apply(
    paths: string[],
    options: TenantOption,
    { dryRun = false, yes = false }: ApplyOptions,
  ): Promise<DefinitionChange> {
    const client = open(options);
    const files = readDefinitionFiles(paths);
    const tenant = tenantOf(options, files);
    if (!dryRun && !yes) await refuseToDeleteAll(client, tenant, files);
    const change = await put(client, tenant, files, dryRun);
    // What is applied is no longer there to compare with.
    const before = dryRun && change.changed.length > 0 ? await client.list(tenant) : undefined;
    changeLines(change, files.set, before).forEach(output.out);
    return change;
  }

  withFiles(definitions.command("apply"))
    .description("Puts what the files define in the place of all that the tenant has, in one step.")
    .option("--dry-run", "say what it would do, and change nothing")
    .option("--yes", "needed where the files define nothing, so that it deletes all that the tenant has")
    .action(async (paths: string[], options: TenantOption & ApplyOptions) => {
      const { dryRun = false } = options;
      const change = await apply(paths, options, options);
      if (isNothing(change)) output.out(`nothing to change: version ${change.version}`);
      else output.out(dryRun ? "nothing was changed" : `applied: version ${change.version}`);
    });

  withFiles(definitions.command("diff"))
    .description("Says what apply would change. Exits with 0 for nothing, 1 for something, 2 on errors.")
    .action(async (paths: string[], options: TenantOption) => {
      if (!isNothing(await apply(paths, options, { dryRun: true }))) onDifference();
    });

  withService(definitions.command("list"))
    .requiredOption("--tenant <tenant>", "whose")
    .description("One line each: what it is, type, version, since, cost; then which consumers have them.")
    .option("--json", "all of it as JSON")
    .action(async (options: ServiceOptions & { tenant: string; json?: true }) => {
      const all = await open(options).list(options.tenant);
      if (options.json) return output.out(JSON.stringify(all));
      for (const part of ["attributes", "audiences"] as const)
        for (const each of all[part]) output.out(lineOf(part, each));
      for (const { name, version, upToDate } of all.consumers)
        output.out(`consumer ${name}  version ${version}${upToDate ? "" : ", not up to date"}`);
      output.out(`version ${all.version}`);
    });
  return definitions;
}

function withService(command: Command): Command {
  return command
    .option("--url <url>", "the service, in the place of KEYLINE_URL")
    .option("--token <token>", "in the place of ADMIN_TOKEN; others on this machine can see it");
}

function withFiles(command: Command): Command {
  return withService(
    command
      .argument("[files...]", "YAML files, or folders of them", [DEFAULT_FOLDER])
      .option("--tenant <tenant>", "whose; by default the one that the files name"),
  );
}

/** @throws KeylineError `no_tenant`, `tenant_conflict` */
function tenantOf(options: TenantOption, files: DefinitionFiles): string {
  const tenant = options.tenant ?? files.tenant;
  if (tenant === undefined)
    throw new KeylineError(
      "no_tenant",
      "neither --tenant nor one of the files says whose definitions these are",
    );
  if (files.tenant !== undefined && files.tenant !== tenant) {
    const text = `--tenant is ${tenant}, and the files are of ${files.tenant}`;
    throw new KeylineError("tenant_conflict", text, { path: "--tenant", value: tenant });
  }
  return tenant;
}

/** @throws KeylineError `would_delete_all` where the files define nothing and the tenant has definitions */
async function refuseToDeleteAll(
  client: DefinitionClient,
  tenant: string,
  files: DefinitionFiles,
): Promise<void> {
  const { attributes, audiences } = files.set;
  if (Object.keys(attributes).length + Object.keys(audiences).length > 0) return;
  const { removed } = await put(client, tenant, files, true);
  if (removed.length === 0) return;
  const text = `the files define nothing: all ${removed.length} definitions of ${tenant} would be deleted; --dry-run shows them, --yes deletes them`;
  throw new KeylineError("would_delete_all", text, { path: "--yes", value: removed.length });
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
