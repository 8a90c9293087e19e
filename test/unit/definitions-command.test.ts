import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { readDefinitionFiles } from "../../services/cli/definitions/definition-files.ts";
import { type DefinitionServer, startDefinitionServer } from "../support/definition-server.ts";
import { runKeyline } from "../support/keyline-process.ts";

const EXAMPLE = "data/definitions/shop.yaml";
let shop: DefinitionServer;
let environment: Record<string, string>;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "keyline-definitions-"));
  shop = await startDefinitionServer();
  environment = {
    KEYLINE_URL: await shop.server.listen({ host: "127.0.0.1", port: 0 }),
    ADMIN_TOKEN: "admin-token",
  };
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await shop.close();
});
beforeEach(async () => {
  await shop.call("PUT", "/v1/tenants/shop/definitions", { attributes: {}, audiences: {} });
});

function file(name: string, ...lines: string[]): string {
  const path = join(folder, name);
  writeFileSync(path, lines.join("\n"));
  return path;
}

const run = (command: string, ...words: string[]) =>
  runKeyline(environment, "definitions", command, "--tenant", "shop", ...words);

test("the example is applied, and then there is no difference", async () => {
  const dry = await run("apply", "--dry-run", EXAMPLE);
  expect(dry).toMatchObject({
    code: 0,
    out: expect.arrayContaining(["+ audiences.lapsed", "nothing was changed"]),
  });
  expect((await run("diff", EXAMPLE)).code).toBe(1);
  const applied = await run("apply", EXAMPLE);
  expect([applied.code, applied.err, applied.out.at(-1)]).toEqual([
    0,
    "",
    expect.stringMatching(/^applied: version \d+$/),
  ]);
  expect(await run("diff", EXAMPLE)).toMatchObject({ code: 0, out: [] });
  expect((await run("list")).out).toContainEqual(
    expect.stringMatching(/^audiences\.regulars {2}bool {2}version/),
  );
});

test("the definitions for what `npm start` replays are definitions", async () => {
  const dry = await run("apply", "--dry-run", "data/cdnow-definitions.yaml");
  expect(dry).toMatchObject({ code: 0, out: expect.arrayContaining(["+ audiences.top_spenders"]) });
});

test("what the service refuses is said with file and line, and nothing is changed", async () => {
  const wrong = file("wrong.yaml", "audiences:", "  odd:", "    rule: 1 + true");
  const refused = await run("apply", wrong);
  expect([refused.code, refused.out]).toEqual([2, []]);
  expect(refused.err).toContain(`invalid_definition: ${wrong}:3:11: audiences.odd.rule: `);
  expect((await run("diff", wrong)).code).toBe(2);
});

test("a difference is shown field by field, and a file may name its tenant", async () => {
  const before = file(
    "before.yaml",
    "tenant: shop",
    "audiences:",
    "  all: { rule: 'true', description: Everybody }",
  );
  const { KEYLINE_URL = "", ADMIN_TOKEN = "" } = environment;
  const given = ["--url", KEYLINE_URL, "--token", ADMIN_TOKEN];
  const elsewhere = { KEYLINE_URL: "http://127.0.0.1:1", ADMIN_TOKEN: "" };
  expect((await runKeyline(elsewhere, "definitions", "apply", ...given, before)).code).toBe(0);
  const after = file("after.yaml", "audiences:", "  all: { rule: 'false' }", "  more: { rule: 'true' }");
  expect(await run("diff", after)).toMatchObject({
    code: 1,
    out: [
      "+ audiences.more",
      "~ audiences.all",
      '    description: "Everybody" -> none',
      '    rule: "true" -> "false"',
    ],
  });
  const nobody = await runKeyline(environment, "definitions", "diff", after);
  expect([nobody.code, nobody.err]).toEqual([2, expect.stringContaining("no_tenant: neither --tenant nor")]);
  const other = await runKeyline(environment, "definitions", "diff", "--tenant", "other", before);
  expect([other.code, other.err]).toEqual([2, expect.stringContaining("tenant_conflict")]);
});

test("files that name two tenants are refused, naming both places", () => {
  const one = file("one.yaml", "tenant: shop");
  const two = file("two.yaml", "# another", "tenant: club");
  expect(() => readDefinitionFiles([one, two])).toThrow(`${two}:2:1: tenant is club, and shop at ${one}:1:1`);
  expect(() => readDefinitionFiles([file("nobody.yaml", "tenant: [shop]")])).toThrow(
    ":1:1: tenant is not a name",
  );
});

test("no service, no token: 2", async () => {
  const away = { ...environment, KEYLINE_URL: "http://127.0.0.1:1" };
  const words = ["definitions", "diff", "--tenant", "shop", EXAMPLE];
  expect(await runKeyline(away, ...words)).toMatchObject({
    code: 2,
    err: expect.stringContaining("keyline_unreachable"),
  });
  expect(await runKeyline({ ...environment, ADMIN_TOKEN: "" }, ...words)).toMatchObject({
    code: 2,
    err: expect.stringContaining("unauthorised"),
  });
});

test("a name that is there twice is refused, naming both places", () => {
  const first = file("first.yaml", "attributes:", "  orders: { event: order, aggregate: count }");
  const second = file("second.yaml", "audiences:", "  all: { rule: 'true' }", "  orders: { rule: 'true' }");
  expect(() => readDefinitionFiles([first, second])).toThrow(
    `${second}:3:3: orders is defined at ${first}:2:3 already`,
  );
  const within = file("within.yaml", "audiences:", "  all: { rule: 'true' }", "  all: { rule: 'false' }");
  expect(() => readDefinitionFiles([within])).toThrow(
    `${within}:3:3: all is defined at ${within}:2:3 already`,
  );
});

test.each([
  ["no YAML", ["audiences:", "  a: [1"], ":2:"],
  ["another part", ["segments:", "  a: 1"], ":1:1: segments is neither attributes, audiences nor tenant"],
  ["a list", ["audiences:", "  - a"], ":2:3: audiences is not a map of names"],
  ["a field twice", ["audiences:", "  a:", "    rule: x", "    rule: y"], ":4:5: rule is defined at"],
])("a file with %s is refused with its line", (_, lines, message) => {
  const path = file("bad.yaml", ...lines);
  expect(() => readDefinitionFiles([path])).toThrow(`${path}${message}`);
});

test("files that define nothing delete all definitions only where --yes is given", async () => {
  const nothing = file("nothing.yaml", "audiences:");
  expect(await run("apply", nothing)).toMatchObject({
    code: 0,
    out: [expect.stringMatching("nothing to change")],
  });
  await run("apply", EXAMPLE);
  const refused = await run("apply", nothing);
  expect([refused.code, refused.out, refused.err]).toEqual([
    2,
    [],
    expect.stringContaining("would_delete_all: "),
  ]);
  expect((await run("diff", EXAMPLE)).code).toBe(0);
  expect((await run("apply", "--dry-run", nothing)).out).toContain("- audiences.lapsed");
  const applied = await run("apply", "--yes", nothing);
  expect([applied.code, applied.out]).toEqual([0, expect.arrayContaining(["- audiences.lapsed"])]);
});

test("a folder gives all of its YAML files, one without any is refused", () => {
  expect(Object.keys(readDefinitionFiles(["data/definitions"]).set.audiences)).toContain("regulars");
  const none = mkdtempSync(join(folder, "none-"));
  expect(() => readDefinitionFiles([none])).toThrow(
    expect.objectContaining({ code: "bad_definition_file", path: none }),
  );
  expect(readDefinitionFiles([file("empty.yaml", "# nothing yet")]).set).toMatchObject({});
  expect(() => readDefinitionFiles([join(folder, "none.yaml")])).toThrow(/none\.yaml: .*no such file/);
});
