import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { compileMapping, type Fields } from "../../shared/imports/map-row.ts";
import { readMapping } from "../../shared/imports/read-mapping.ts";

const COLUMNS = ["user", "a", "b", "when"];

/** What a row becomes, or its refusal. */
function mapped(mapping: string, fields: Fields): unknown {
  const map = compileMapping(readMapping(mapping), Array.isArray(fields) ? COLUMNS : undefined);
  const row = map(fields, "made-1");
  return "update" in row ? row.update : row.refusal;
}

const opsOf = (mapping: string, fields: Fields) =>
  (mapped(`{userId: user, ${mapping}}`, fields) as { ops?: unknown }).ops ??
  mapped(`{userId: user, ${mapping}}`, fields);

test("a row becomes one update of all its operations, on the bulk path", () => {
  const mapping = `
    userId: user
    id: b
    at: when
    event: {column: a, properties: {b: b}}
    set: {plan: a, source: {value: crm}}
    increment: {rows: {value: 1}}
    remove: {tags: a}
  `;
  expect(mapped(mapping, ["ann", "seen", "x-1", "2026-01-02"])).toEqual({
    ...{ userId: "ann", id: "x-1", at: Date.UTC(2026, 0, 2), priority: "bulk" },
    ops: [
      { kind: "event", body: { name: "seen", properties: { b: "x-1" } } },
      { kind: "set", body: { plan: "seen", source: "crm" } },
      { kind: "remove", body: { tags: ["seen"] } },
      { kind: "increment", body: { rows: 1 } },
    ],
  });
});

test("cells have the type that is asked for, or are refused with column and value", () => {
  const set = (type: string, text: string) =>
    opsOf(`set: {v: {column: a, type: ${type}}}`, ["u", text, "", ""]);
  const value = (given: unknown) => [{ kind: "set", body: { v: given } }];
  expect(set("string", " 1 ")).toEqual(value(" 1 "));
  for (const [text, number] of [
    ["1.50", 1.5],
    [" -2e3 ", -2_000],
    [".5", 0.5],
    ["+1", 1],
  ] as const)
    expect(set("number", text)).toEqual(value(number));
  for (const text of ["1,5", "0x10", "1e999", "NaN", "1 2"])
    expect(set("number", text)).toEqual({
      code: "invalid_value",
      path: "a",
      value: JSON.stringify(text),
      message: "must be a number with a decimal point, such as 29.5",
    });
  for (const [text, flag] of [
    ["TRUE", true],
    ["no", false],
    ["1", true],
  ] as const)
    expect(set("boolean", text)).toEqual(value(flag));
  expect(set("boolean", "2")).toMatchObject({ code: "invalid_value", path: "a", value: '"2"' });
  expect(set("json", '{"x":[1]}')).toEqual(value({ x: [1] }));
  expect(set("json", '{"x":{"__proto__":1}}')).toMatchObject({
    ...{ code: "invalid_value", path: "a" },
    message: expect.stringMatching(/^must be JSON that can be kept: x.__proto__ is a name that is not taken/),
  });
  expect(set("json", `${"[".repeat(70)}${"]".repeat(70)}`)).toMatchObject({
    code: "invalid_value",
    path: "a",
  });
});

test("an empty cell does nothing, is kept, or refuses the line", () => {
  const both = (empty: string) => opsOf(`set: {a: {column: a, empty: ${empty}}, b: b}`, ["u", " ", "x", ""]);
  expect(both("skip")).toEqual([{ kind: "set", body: { b: "x" } }]);
  expect(both("keep")).toEqual([{ kind: "set", body: { a: " ", b: "x" } }]);
  expect(both("refuse")).toEqual({
    code: "invalid_value",
    path: "a",
    value: '" "',
    message: "must not be empty",
  });
  expect(opsOf("set: {a: a}", ["u", "", "", ""])).toMatchObject({ code: "empty_row" });
  expect(opsOf("set: {a: a}", ["", "x", "", ""])).toEqual({
    code: "invalid_value",
    path: "user",
    value: '""',
    message: "is required: it is the userId",
  });
  expect(mapped("{userId: user, at: when, set: {a: a}}", ["u", "x", "", ""])).not.toHaveProperty("at");
});

test("a cell is split into members", () => {
  const add = (text: string) =>
    opsOf('add: {tags: {column: a, split: "|", type: number}}', ["u", text, "", ""]);
  expect(add("1| 2||3")).toEqual([{ kind: "add", body: { tags: [1, 2, 3] } }]);
  expect(add("1|x")).toMatchObject({ code: "invalid_value", path: "a", value: '"x"' });
  expect(opsOf("add: {tags: tags}", { user: "u", tags: ["a", 1] })).toEqual([
    { kind: "add", body: { tags: ["a", 1] } },
  ]);
});

test("fields within fields of NDJSON are named with dots, and keep their types", () => {
  const line = { customer: { id: 17 }, order: { total: 2.5, gift: true, note: null } };
  expect(
    mapped(
      "{userId: customer.id, set: {total: order.total, gift: order.gift, note: order.note, x: order.total.y}}",
      line,
    ),
  ).toMatchObject({ userId: "17", ops: [{ kind: "set", body: { total: 2.5, gift: true } }] });
  expect(mapped("{userId: constructor.name, set: {a: a}}", line)).toMatchObject({
    code: "invalid_value",
    path: "constructor.name",
  });
});

test("a user whose id is a number too long to be exact is not taken for another", () => {
  const userOf = (line: string) => mapped("{userId: user, set: {a: a}}", JSON.parse(line));
  expect(userOf('{"user":9007199254740991,"a":1}')).toMatchObject({ userId: "9007199254740991" });
  expect(userOf('{"user":"1234567890123456789","a":1}')).toMatchObject({ userId: "1234567890123456789" });
  expect(userOf('{"user":1234567890123456789,"a":1}')).toMatchObject({ code: "invalid_value", path: "user" });
});

test.each([
  ["when", "2026-03-01T10:00:00+02:00", Date.UTC(2026, 2, 1, 8)],
  ["{column: when}", "2026-03-01 10:00", Date.UTC(2026, 2, 1, 10)],
  ["{column: when, zone: Europe/Berlin}", "2026-07-01T10:00:00", Date.UTC(2026, 6, 1, 8)],
  ["{column: when, zone: Europe/Berlin}", "2026-07-01T10:00:00Z", Date.UTC(2026, 6, 1, 10)],
  ["{column: when, format: yyyyMMdd}", "19970102", Date.UTC(1997, 0, 2)],
  [
    "{column: when, format: 'dd.MM.yyyy HH:mm', zone: UTC+2}",
    "02.01.2026 00:30",
    Date.UTC(2026, 0, 1, 22, 30),
  ],
  ["{column: when, format: seconds}", "1700000000.5", 1_700_000_000_500],
  ["{column: when, format: milliseconds}", "1700000000000", 1_700_000_000_000],
])("the time %s is read from %s", (at, text, moment) => {
  expect(mapped(`{userId: user, set: {a: a}, at: ${at}}`, ["u", "x", "", text])).toMatchObject({
    at: moment,
  });
});

test.each(["2026-02-30", "yesterday", "10:00"])("%s is no time", (text) => {
  expect(mapped("{userId: user, set: {a: a}, at: when}", ["u", "x", "", text])).toEqual({
    code: "invalid_value",
    path: "when",
    value: JSON.stringify(text),
    message: "must be a time of the format iso",
  });
});

test.each([
  ["{", "mapping", undefined],
  ["[]", "mapping", []],
  ["{set: {a: a}}", "userId", undefined],
  ["{userId: user}", "mapping", undefined],
  ["{userId: 1, set: {a: a}}", "userId", 1],
  ["{userId: user, sett: {a: a}}", "sett", { a: "a" }],
  ["{userId: user, set: {a: {column: a, type: date}}}", "set.a.type", "date"],
  ["{userId: user, set: {a: {type: number}}}", "set.a", { type: "number" }],
  ["{userId: user, set: {a: {column: a, value: 1}}}", "set.a", { column: "a", value: 1 }],
  ["{userId: user, event: {properties: {a: a}}}", "event", { properties: { a: { column: "a" } } }],
  ["{userId: user, set: {a: a}, delimiter: ';;'}", "delimiter", ";;"],
  ["{userId: user, set: {a: a}, format: ndjson, header: true}", "header", true],
  ["{userId: user, set: {a: a}, header: false}", "columns", undefined],
  ["{userId: user, set: {a: other}}", "set.a.column", "other"],
  ["{userId: user, set: {a: a}, at: {column: when, zone: Mars}}", "at.zone", "Mars"],
])("the mapping %s is refused at %s", (text, path, value) => {
  const refused = () => compileMapping(readMapping(text), COLUMNS);
  expect(refused).toThrow(expect.objectContaining({ code: "bad_mapping", path, value }));
});

test("the mapping that the documents show is one", () => {
  const [, shown] = /```yaml\n([\s\S]*?)```/.exec(readFileSync("docs/imports.md", "utf8"))!;
  const mapping = readMapping(shown!);
  const row = ["17", "o-1", "20260102", "29.5", "a|b"];
  expect(compileMapping(mapping, mapping.columns)(row, "made-1")).toEqual({
    update: {
      ...{ userId: "17", id: "o-1", at: Date.UTC(2026, 0, 1, 23), priority: "bulk" },
      ops: [
        { kind: "event", body: { name: "order_completed", properties: { amount: 29.5 } } },
        { kind: "set", body: { source: "crm" } },
        { kind: "add", body: { tags: ["a", "b"] } },
        { kind: "increment", body: { spent: 29.5 } },
      ],
    },
  });
});
