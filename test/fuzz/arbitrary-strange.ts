/** Values that programs trip over, as JSON text. */
import fc from "fast-check";
import { type Damage, RawJson } from "./json-text.ts";

/** Halves of surrogate pairs too. The library's own units of all characters take a second to make, and 60 MiB. */
const character = fc.integer({ min: 0, max: 0x10_ffff }).map((point) => String.fromCodePoint(point));
export const arbitraryText = (maxLength: number) => fc.string({ maxLength, unit: character });

const nested = (levels: number, open: string, close: string): string =>
  `${open.repeat(levels)}0${close.repeat(levels)}`;
const names = (count: number): string =>
  `{${Array.from({ length: count }, (_, index) => `"f${index}":1`).join(",")}}`;

const numbers = [
  ...["1e400", "-1e400", "1e-400", "-0", "0", "-1", "1.5", "1e15", "1e16", "1e-13", "0.1e1", "1E+2"],
  ...["9007199254740993", "8640000000000001", "-8640000000000001", "1".repeat(400)],
];
const noJson = ["NaN", "Infinity", "undefined", "01", "+1", ".5", "'a'", "{a:1}", "[1,]", "//", "\ufeff1"];
const texts = [
  ...['""', '"\\u0000"', '"\\ud800"', '"\\udc00a"', '"\\u007f"', '"$x"', '"$anonymous:7"', '"a:b"', '"a|b"'],
  ...['"__proto__"', '"constructor"', '"toString"', '"then"', '"track"', '"event"', '"tick"', '"increment"'],
  ...['"1"', '"2026-02-30"', '"2026-11-28T10:00:00Z"', '"1 x"', '"0000-01-01"', '"+275760-09-13T00:00:00Z"'],
  ...[64, 65, 128, 129, 246, 256, 257, 5_000].map((length) => `"${"x".repeat(length)}"`),
  ...[128, 129, 256, 257].map((length) => `"${"😀".repeat(length)}"`),
];
const containers = [
  ...["[]", "{}", "[[]]", "[null]", '[""]', '{"":1}', '{"length":-1}', '{"toJSON":1}', '{"then":1}'],
  ...['{"__proto__":{"polluted":1}}', '{"\\u005f_proto__":{"polluted":1}}', '{"__proto__":null}'],
  ...['{"constructor":{"prototype":{"polluted":1}}}', '{"constructor":1}', '{"toString":1}'],
  ...['{"hasOwnProperty":1}', '{"valueOf":1}', '{"a/b~c":1}', '{"kind":"tick","body":{"due":1}}'],
  ...[58, 60, 62, 64, 66].flatMap((levels) => [nested(levels, "[", "]"), nested(levels, '{"a":', "}")]),
  ...[256, 257].map(names),
];
const huge = [
  nested(20_000, "[", "]"),
  nested(20_000, '{"a":', "}"),
  `[${"0,".repeat(1_100)}0]`,
  names(3_000),
];

const raw = (choices: readonly string[]) => fc.constantFrom(...choices).map((text) => new RawJson(text));

/** Any of them, and any other JSON; most are small. */
export const arbitraryStrange: fc.Arbitrary<RawJson> = fc.oneof(
  { arbitrary: raw(["null", "true", "false", "1", '"x"']), weight: 20 },
  { arbitrary: raw(numbers), weight: 20 },
  { arbitrary: raw(texts), weight: 20 },
  { arbitrary: raw(containers), weight: 20 },
  { arbitrary: raw(noJson), weight: 4 },
  { arbitrary: raw(huge), weight: 1 },
  {
    arbitrary: fc.jsonValue({ maxDepth: 2 }).map((value) => new RawJson(JSON.stringify(value))),
    weight: 10,
  },
);

const arbitraryKey: fc.Arbitrary<RawJson> = fc.oneof(
  raw([
    ...['"__proto__"', '"\\u005f_proto__"', '"constructor"', '"prototype"', '"toString"', '"hasOwnProperty"'],
    ...['""', '"\\u0000"', '"\\ud800"', '"$x"', '"a/b~c"', '"7"', '"length"', '"then"', '"toJSON"'],
    ...['"tenant"', '"userId"', '"anonymousId"', '"type"', '"ops"', '"at"', '"id"', '"src"', '"stamp"'],
    ...['"data"', '"data_base64"', '"context"', '"writeKey"', '"quotas"', "unquoted", "1", "null"],
    ...[128, 129, 5_000].map((length) => `"${"k".repeat(length)}"`),
  ]),
  arbitraryText(4).map((text) => new RawJson(JSON.stringify(text))),
);

export const arbitraryDamage: fc.Arbitrary<Damage> = fc.record({
  at: fc.nat({ max: 60 }),
  how: fc.oneof(
    { arbitrary: fc.constant("replace" as const), weight: 6 },
    fc.constantFrom("wrap" as const, "add" as const, "duplicate" as const, "remove" as const),
  ),
  key: arbitraryKey,
  value: arbitraryStrange,
});
