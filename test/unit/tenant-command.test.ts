import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTenantClient, type ListedTenant } from "../../services/cli/tenant/tenant-client.ts";
import { tenantCommand } from "../../services/cli/tenant/tenant-command.ts";
import { runKeyline } from "../support/keyline-process.ts";
import { type MemoryGateway, startMemoryGateway } from "../support/memory-gateway.ts";

const TOKEN = "operators-token";
let gateway: MemoryGateway;

beforeAll(async () => {
  gateway = await startMemoryGateway({ adminToken: TOKEN, nowMs: Date.UTC(2026, 10, 29) });
});
const folder = mkdtempSync(join(tmpdir(), "keyline-tenant-"));
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await gateway.close();
});

const run = (...words: string[]) =>
  runKeyline({ GATEWAY_URL: gateway.url, ADMIN_TOKEN: TOKEN }, "tenant", ...words);

const statusWith = async (key: string) => {
  const response = await fetch(`${gateway.url}/v1/track`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ userId: "ann", event: "order_completed" }),
  });
  return response.status;
};

test("a tenant is made, given a key, limited, and ended, by hand", async () => {
  expect(await run("list")).toMatchObject({ code: 0, out: ["no tenants"] });
  const made = await run("set", "shop", "--updates-per-second", "500", "--burst", "2000");
  expect(made.out).toEqual([
    "shop",
    "no write key: keyline tenant add-key makes one",
    "quota updatesPerSecond 500",
    "quota burst 2000",
  ]);
  const { out: keys, err } = await run("add-key", "shop");
  const [key] = keys as [string];
  expect(keys).toHaveLength(1);
  expect(await statusWith(key)).toBe(200);

  expect((await run("list")).out).toEqual(["shop  1 key  updatesPerSecond 500  burst 2000"]);

  // What is not named stays.
  const { out: changed } = await run("set", "shop", "--max-update-bytes", "4096");
  expect(changed).toEqual(
    expect.arrayContaining(["quota updatesPerSecond 500", "quota maxUpdateBytes 4096"]),
  );
  expect((await run("set", "shop", "--no-quotas")).out.at(-1)).toBe("no quotas");

  const id = /key (\S+) of shop/.exec(err)?.[1];
  expect((await run("remove-key", "shop", id!)).code).toBe(0);
  expect(await statusWith(key)).toBe(401);
  expect(await run("delete", "shop")).toMatchObject({ code: 0, out: ["shop is deleted"] });
  expect(await run("show", "shop")).toMatchObject({
    code: 1,
    err: expect.stringContaining("tenant_not_found"),
  });
});

test.each(["of a tenant that there is", "that make it"])(
  "two operators at once don't undo each other's quotas: %s",
  async (which) => {
    const client = createTenantClient({ url: gateway.url, token: TOKEN });
    const name = which === "that make it" ? "made-twice" : "set-twice";
    if (name === "set-twice") await client.put(name, { quotas: { updatesPerSecond: 500 } });
    const set = tenantCommand({
      open: () => ({
        ...client,
        async show(tenant): Promise<ListedTenant> {
          const shown = client.show(tenant);
          await shown.catch(() => {});
          await client.put(tenant, { quotas: { burst: 3_000 } });
          return shown;
        },
      }),
      output: { out: () => {}, complain: () => {} },
    }).parseAsync(["set", name, "--max-update-bytes", "4096"], { from: "user" });
    await expect(set).rejects.toMatchObject({ code: "tenant_changed", path: "version" });
    const { quotas, version } = await client.show(name);
    expect(quotas).toEqual({ burst: 3_000 });
    await expect(client.put(name, { quotas: {}, version: version - 1 })).rejects.toThrow(
      `version: ${name} is of version ${version}, not ${version - 1}: others changed it`,
    );
    expect((await client.put(name, { quotas: {}, version })).version).toBeGreaterThan(version);
  },
);

test("what one user may send, and bulk's share, are set by hand", async () => {
  const { out } = await run("set", "hot", "--hot-users", "100:sample:20", "--bulk-percent", "30");
  expect(out).toEqual(expect.arrayContaining(["quota bulkPercent 30", "quota hotUsers 100:sample:20"]));
  const wrong = await run("set", "hot", "--hot-users", "100:drop");
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('not "100:drop"')]);
  expect((await run("show", "hot")).out).toContain("quota hotUsers 100:sample:20");
});

test("quotas for names are set by hand", async () => {
  const words = ["--max-attributes", "200", "--max-event-names", "50", "--max-properties-per-event", "30"];
  const { out } = await run("set", "names", ...words);
  expect(out).toEqual(
    expect.arrayContaining([
      "quota maxAttributes 200",
      "quota maxEventNames 50",
      "quota maxPropertiesPerEvent 30",
    ]),
  );
});

test("a schema is shown as a file that declares it, with what was learned marked", async () => {
  await run("set", "learner");
  const [key] = (await run("add-key", "learner")).out as [string];
  expect(await statusWith(key)).toBe(200);
  const { out } = await run("schema", "learner");
  expect(out.slice(1)).toEqual([
    "mode: allow",
    "unknown: learn",
    "events:",
    "  order_completed:",
    "    # learned",
    "    properties: {}",
    "attributes: {}",
  ]);
  const file = join(folder, "schema.yaml");
  writeFileSync(file, out.join("\n").replace("unknown: learn", "unknown: reject"));
  const applied = await run("schema", "learner", "--apply", file);
  expect(applied.code).toBe(0);
  expect(applied.out).toContain("unknown: reject");
  expect(applied.out).not.toContain("    # learned");
});

test("what is wrong with a schema's file is said with its place, and declares nothing", async () => {
  await run("set", "wrong");
  const file = join(folder, "wrong.yaml");
  const applied = async (text: string) => {
    writeFileSync(file, text);
    const { code, err } = await run("schema", "wrong", "--apply", file);
    return [code, err];
  };
  expect(await applied("mode: warn\nmode: allow\n")).toEqual([2, expect.stringContaining(`${file}:2:1`)]);
  expect(await applied("- seen\n")).toEqual([2, expect.stringContaining("bad_schema_file")]);
  expect(await applied("events:\n  seen:\n    properties:\n      a: { type: text }\n")).toEqual([
    1,
    expect.stringContaining(`${file}:4:18: events.seen.properties.a.type`),
  ]);
  expect((await run("schema", "wrong", "--apply", join(folder, "none.yaml"))).code).toBe(2);
  expect((await run("schema", "wrong")).out).toContain("events: {}");
});

test("wrong use is 2, with what was wrong", async () => {
  const wrong = await run("set", "shop", "--burst", "many");
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('must be a whole number, not "many"')]);
  const refused = await run("set", "shop", "--burst", "5");
  expect([refused.code, refused.err]).toEqual([1, expect.stringContaining("quotas.burst")]);
  const named = await run("set", "bad name");
  expect([named.code, named.err]).toEqual([
    1,
    "invalid_request: tenant: must be 1 to 64 letters, digits, _ or -, starting with a letter or digit\n",
  ]);
});

test("no gateway, and no token, are said", async () => {
  const away = await runKeyline({ GATEWAY_URL: "http://127.0.0.1:1", ADMIN_TOKEN: TOKEN }, "tenant", "list");
  expect([away.code, away.err]).toEqual([1, expect.stringContaining("GATEWAY_URL=http://127.0.0.1:1")]);
  const unknown = await runKeyline({ GATEWAY_URL: gateway.url, ADMIN_TOKEN: "" }, "tenant", "list");
  expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining("unauthorised")]);
});
