/** The command line of `keyline tenant`: who may send, and how much. */
import { Command, InvalidArgumentError } from "commander";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import type { Output } from "../dlq/commands.ts";
import type { ListedTenant, Quotas, TenantClient } from "./tenant-client.ts";

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

  command("set <tenant>", "Makes a tenant, or changes its quotas; quotas that are not named stay.")
    .option("--updates-per-second <n>", "through all gateways together", wholeNumber)
    .option("--burst <n>", "updates at once after a rest", wholeNumber)
    .option("--max-update-bytes <n>", "of one update", wholeNumber)
    .option("--no-quotas", "drop the quotas that are not named here")
    .action(async (name: string, given: ServiceOptions & Quotas & { quotas: boolean }) => {
      const client = open(given);
      const before = given.quotas ? await quotasOf(client, name) : {};
      showTenant(await client.put(name, { quotas: { ...before, ...named(given) } }), output);
    });

  command("delete <tenant>", "Ends its keys; its profiles stay.").action(
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

function named({ updatesPerSecond, burst, maxUpdateBytes }: Quotas): Quotas {
  return {
    ...(updatesPerSecond === undefined ? {} : { updatesPerSecond }),
    ...(burst === undefined ? {} : { burst }),
    ...(maxUpdateBytes === undefined ? {} : { maxUpdateBytes }),
  };
}

/** None where the tenant is new. */
async function quotasOf(client: TenantClient, name: string): Promise<Quotas> {
  try {
    return (await client.show(name)).quotas;
  } catch (error) {
    if (error instanceof KeylineError && error.code === "tenant_not_found") return {};
    throw error;
  }
}

function quotaTexts(quotas: Quotas): string[] {
  return Object.entries(quotas).map(([name, value]) => `${name} ${value}`);
}

function lineOf({ tenant, writeKeys, quotas }: ListedTenant): string {
  return [tenant, `${writeKeys.length} keys`, ...quotaTexts(quotas)].join("  ");
}

function showTenant({ tenant, writeKeys, quotas }: ListedTenant, { out }: Output): void {
  out(tenant);
  for (const { id, addedAt } of writeKeys) out(`key ${id}  added ${addedAt}`);
  if (writeKeys.length === 0) out("no write key: keyline tenant add-key makes one");
  for (const text of quotaTexts(quotas)) out(`quota ${text}`);
  if (Object.keys(quotas).length === 0) out("no quotas");
}
