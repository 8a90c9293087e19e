/** The command line of `keyline tenant`: who may send, and how much. */
import { Command, InvalidArgumentError } from "commander";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import type { Output } from "../dlq/commands.ts";
import { RefusedByService } from "../service-call.ts";
import { hotUsersText, parseHotUsers } from "./hot-users-option.ts";
import { readSchemaFile, type SchemaFile, schemaText } from "./schema-file.ts";
import {
  type ListedTenant,
  type Quotas,
  quotaMeanings,
  type ShownSchema,
  type TenantClient,
} from "./tenant-client.ts";

export type ServiceOptions = { url?: string; token?: string };

export function tenantCommand(options: {
  /** Reads the settings first; what is given on the command line stands above them. */
  open(given: ServiceOptions): TenantClient;
  output: Output;
}): Command {
  const { open, output } = options;
  const tenant = new Command("tenant").description("Tenants of the gateway: their write keys and quotas.");
  const command = (name: string, description: string) =>
    tenant
      .command(name)
      .description(description)
      .option("--url <url>", "the gateway, in the place of GATEWAY_URL")
      .option("--token <token>", "in the place of ADMIN_TOKEN; others on this machine can see it");

  command("list", "One line each.").action(async (given: ServiceOptions) => {
    const { tenants } = await open(given).list();
    for (const each of tenants) output.out(lineOf(each));
    if (tenants.length === 0) output.out("no tenants");
  });

  command("show <tenant>", "A tenant's keys and quotas.").action(
    async (name: string, given: ServiceOptions) => {
      showTenant(await open(given).show(name), output);
    },
  );

  const set = command(
    "set <tenant>",
    "Makes a tenant, or changes its quotas; quotas that are not named stay.",
  );
  for (const [name, meaning] of Object.entries(quotaMeanings))
    set.option(`--${flagOf(name)} <n>`, meaning, wholeNumber);
  set
    .option(
      "--hot-users <policy>",
      "what one user may send in a second, and what becomes of the rest: 100:fold, 100:sample:10, 100:skip, 100:park",
      parseHotUsers,
    )
    .option("--no-quotas", "drop the quotas that are not named here")
    .action(async (name: string, given: ServiceOptions & Quotas & { quotas: boolean }) => {
      const client = open(given);
      const { quotas, version } = given.quotas ? await quotasOf(client, name) : NO_QUOTAS;
      showTenant(await client.put(name, { quotas: { ...quotas, ...named(given) }, version }), output);
    });

  command("schema <tenant>", "What it sends, as YAML that --apply takes: its events and attributes.")
    .option("--apply <file>", "declare what a YAML file says, in the place of all that was declared")
    .action(async (name: string, given: ServiceOptions & { apply?: string }) => {
      const client = open(given);
      const schema =
        given.apply === undefined
          ? await client.schema(name)
          : await declareFile(client, name, readSchemaFile(given.apply));
      output.out(schemaText(schema));
    });

  command("delete <tenant>", "Ends its keys; its profiles and its schema stay.").action(
    async (name: string, given: ServiceOptions) => {
      await open(given).remove(name);
      output.out(`${name} is deleted`);
    },
  );

  command("add-key <tenant>", "Makes one more write key and says it, once.").action(
    async (name: string, given: ServiceOptions) => {
      const { id, writeKey } = await open(given).addKey(name);
      output.complain(`key ${id} of ${name}; it is not said again:`);
      output.out(writeKey);
    },
  );

  command("remove-key <tenant> <id>", "Ends one write key.").action(
    async (name: string, id: string, given: ServiceOptions) => {
      showTenant(await open(given).removeKey(name, id), output);
    },
  );
  return tenant;
}

function wholeNumber(text: string): number {
  if (/^\d{1,12}$/.test(text)) return Number(text);
  throw new InvalidArgumentError(`must be a whole number, not ${JSON.stringify(text)}`);
}

function flagOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function named(given: Quotas): Quotas {
  const names = [...Object.keys(quotaMeanings), "hotUsers"] as (keyof Quotas)[];
  return Object.fromEntries(
    names.filter((name) => given[name] !== undefined).map((name) => [name, given[name]]),
  );
}

/** What the gateway refuses is said with its place in the file. */
async function declareFile(client: TenantClient, name: string, file: SchemaFile): Promise<ShownSchema> {
  try {
    return await client.declare(name, file.schema);
  } catch (error) {
    if (!(error instanceof RefusedByService) || error.path === undefined) throw error;
    const { code, path, value, message } = error;
    const place = file.placeOf(path);
    if (place === undefined) throw error;
    throw new KeylineError(code, `${place}: ${message}`, { path, value });
  }
}

type VersionedQuotas = { quotas: Quotas; version?: number };

/** What is said without looking holds whatever was said before. */
const NO_QUOTAS: VersionedQuotas = { quotas: {} };

/** None where the tenant is new. */
async function quotasOf(client: TenantClient, name: string): Promise<VersionedQuotas> {
  try {
    return await client.show(name);
  } catch (error) {
    if (error instanceof KeylineError && error.code === "tenant_not_found") return { quotas: {}, version: 0 };
    throw error;
  }
}

function quotaTexts(quotas: Quotas): string[] {
  return Object.entries(quotas).map(
    ([name, value]) => `${name} ${typeof value === "object" ? hotUsersText(value) : value}`,
  );
}

function lineOf({ tenant, writeKeys, quotas }: ListedTenant): string {
  return [tenant, writeKeys.length === 1 ? "1 key" : `${writeKeys.length} keys`, ...quotaTexts(quotas)].join(
    "  ",
  );
}

function showTenant({ tenant, writeKeys, quotas }: ListedTenant, { out }: Output): void {
  out(tenant);
  for (const { id, addedAt } of writeKeys) out(`key ${id}  added ${addedAt}`);
  if (writeKeys.length === 0) out("no write key: keyline tenant add-key makes one");
  for (const text of quotaTexts(quotas)) out(`quota ${text}`);
  if (Object.keys(quotas).length === 0) out("no quotas");
}
