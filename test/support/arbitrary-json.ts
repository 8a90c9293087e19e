import fc from "fast-check";

const TOO_LARGE = "1e999";
/** As a body is read: from text, which knows no -0, and can say a number that no double holds. */
const read = (value: unknown): unknown =>
  JSON.parse((JSON.stringify(value) ?? "null").replaceAll(JSON.stringify(TOO_LARGE), TOO_LARGE));

const nested = fc.integer({ min: 57, max: 62 }).map((levels): unknown => {
  let value: unknown = 0;
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
});

/** Any JSON, and some that is at the edge of what an update may hold. */
export const arbitraryJson: fc.Arbitrary<unknown> = fc.oneof(
  { arbitrary: fc.jsonValue({ maxDepth: 2 }), weight: 8 },
  fc.constant(null),
  nested,
  fc.constant(TOO_LARGE),
);

const name = fc.oneof(
  { arbitrary: fc.string({ maxLength: 8 }), weight: 4 },
  fc.constantFrom("plan", "name", "category", "groupId", "anonymousId", "__proto__", "7", "a/b~c"),
  fc.constantFrom(
    "",
    "$x",
    "\u0000",
    "\ud800",
    "x".repeat(128),
    "x".repeat(129),
    "😀".repeat(100),
    "😀".repeat(129),
  ),
);
const crowd = fc
  .integer({ min: 253, max: 257 })
  .map((count) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, 1])));

/** Objects as clients send them, in part with too many names, or names that are none. */
export const arbitraryFields: fc.Arbitrary<unknown> = fc.oneof(
  {
    arbitrary: fc.dictionary(
      fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 8 }),
      fc.jsonValue({ maxDepth: 1 }),
      { maxKeys: 4 },
    ),
    weight: 20,
  },
  fc.array(fc.tuple(name, arbitraryJson), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
  crowd,
  nested.map((value) => ({ a: value })),
);

/** Ids at the edge of what is taken: empty, long, ill-formed, of the form of another. */
export const arbitraryId: fc.Arbitrary<unknown> = fc.oneof(
  {
    arbitrary: fc.constantFrom("42", "019mr8mf4r", "507f191e810c19729de860ea", "jen@email.com", "ä b:c"),
    weight: 40,
  },
  fc.constantFrom("", "a\u0000", "\udc00", "$anonymous:7", "$x", "a|b", "x".repeat(128), "x".repeat(129)),
  fc.constantFrom("x".repeat(245), "x".repeat(246), "x".repeat(257), "😀".repeat(245), "😀".repeat(256)),
  fc.string({ unit: "binary", maxLength: 4 }),
);

const moment = fc.date({
  min: new Date("0000-01-01"),
  max: new Date("9999-12-31T23:59:59.999Z"),
  noInvalidDate: true,
});

export const arbitraryTime: fc.Arbitrary<unknown> = fc.oneof(
  { arbitrary: moment.map((date) => date.toISOString()), weight: 20 },
  fc.constantFrom(
    "2012-12-02T00:30:08.276Z",
    "2015-2-02T00:30:08.276Z",
    "2012-02-30",
    "now",
    "0000-01-01",
    "9999-12-31T23:59:59-23:59",
  ),
);

/**
 * Objects with the given fields: most of them whole, in some a field is missing, is any JSON, or is one that
 * nobody knows.
 */
export function nearly(
  fields: Record<string, fc.Arbitrary<unknown>>,
  required: string[],
): fc.Arbitrary<unknown> {
  const whole = fc.record(fields, { requiredKeys: required });
  const wrong = fc.tuple(
    whole,
    fc.constantFrom(...Object.keys(fields), "unheardOf"),
    fc.option(arbitraryJson, { nil: undefined }),
  );
  return fc
    .oneof(
      { arbitrary: whole, weight: 5 },
      { arbitrary: wrong.map(([object, field, value]) => ({ ...object, [field]: value })), weight: 2 },
      arbitraryJson,
    )
    .map(read);
}
