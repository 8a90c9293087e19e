import fc from "fast-check";
import { expect, test } from "vitest";
import { packText, placesOf, unpackText } from "../../shared/domain/pack.ts";

/** UTF-8 has no lone surrogates, and so no payload. */
const text = fc.oneof(fc.string({ unit: "binary" }), fc.string()).map((any) => any.toWellFormed());
const messages = fc.array(fc.record({ key: text, payload: text }), { minLength: 1, maxLength: 60 });

test("what was packed comes out as it was, from the text and from its bytes", () => {
  fc.assert(
    fc.property(messages, (packed) => {
      const whole = packText(packed);
      expect(unpackText(whole)).toEqual(packed);
      const bytes = Buffer.from(whole);
      const places = placesOf(bytes)!;
      expect(
        places.map(({ key, start, end }) => ({ key, payload: bytes.toString("utf8", start, end) })),
      ).toEqual(packed);
    }),
  );
});

test.each([
  "",
  "no pack",
  "[[",
  "[[\n",
  "[[]]\n",
  '[["a",1]]',
  '[["a",1]]\n',
  '[["a",11]]X',
  '[["a",1]]\nxy',
  '[["a",-1],["b",3]]\nxy',
  '[["a",0.5],["b",1.5]]\nxy',
  '[["a","2"]]\nxy',
  "[[1,2]]\nxy",
  `${JSON.stringify(Array.from({ length: 257 }, () => ["", 0]))}\n`,
  '{"userId":"a"}\n',
  ' [["a",2]]\nxy',
])("%s is no pack", (whole) => {
  expect(unpackText(whole)).toBeUndefined();
  expect(placesOf(Buffer.from(whole))).toBeUndefined();
});

test("bytes that are no text, and more of them as text, are no pack", () => {
  const bytes = Buffer.concat([Buffer.from('[["é",3]]\n'), Buffer.from([0xc3, 0xa9, 0xff, 0xfe])]);
  expect(placesOf(bytes)).toBeUndefined();
});
