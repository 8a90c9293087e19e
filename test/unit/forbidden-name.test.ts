import fc from "fast-check";
import { parse } from "secure-json-parse";
import { expect, test, vi } from "vitest";
import { forbiddenName } from "../../shared/domain/forbidden-name.ts";
import * as schemaRefusals from "../../shared/domain/refuse-by-schema.ts";

// As it is, and counted.
vi.mock("../../shared/domain/refuse-by-schema.ts", { spy: true });
const appendPath = vi.mocked(schemaRefusals.appendPath);

const isRefused = (text: string) => {
  try {
    parse(text);
    return false;
  } catch {
    return true;
  }
};

test("a name is found where secure-json-parse refuses the text, and only there", () => {
  const name = fc.constantFrom("__proto__", "constructor", "prototype", "a", "0");
  const { json } = fc.letrec((tie) => ({
    json: fc.oneof(
      { depthSize: "small" },
      fc.constantFrom("1", "null", '"__proto__"'),
      fc.array(tie("json"), { maxLength: 3 }).map((items) => `[${items.join()}]`),
      fc
        .array(fc.tuple(name, tie("json")), { maxLength: 3 })
        .map((members) => `{${members.map(([key, value]) => `"${key}":${value}`).join()}}`),
    ),
  }));
  fc.assert(
    fc.property(fc.array(json as fc.Arbitrary<string>), (items) => {
      const text = `[${items.join()}]`;
      expect(forbiddenName(JSON.parse(text), "") !== undefined).toBe(isRefused(text));
    }),
    { numRuns: 1000 },
  );
});

test("the place of a name leads through arrays and objects", () => {
  const found = forbiddenName(JSON.parse('{"a":[1,{"b c":{"__proto__":[2]}}]}'), "batch[3]");
  expect(found).toEqual({ path: "batch[3].a[1].b c.__proto__", value: [2] });
});

test("a path is made for what is found, and for none of the many values around it", () => {
  const many = `${'{"a":[1]},'.repeat(1_000)}[{"__proto__":1}]`;
  appendPath.mockClear();
  expect(forbiddenName(JSON.parse(`[[${many}]]`), "batch")?.path).toBe("batch[0][1000][0].__proto__");
  expect(appendPath).toHaveBeenCalledTimes(4);
});
