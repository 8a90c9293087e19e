import { expect, test } from "vitest";
import { priceTokens, takeTokens } from "../../shared/domain/token-bucket.ts";

const limit = { perSecond: 3, burst: 3 };

test("a price is in whole microseconds, rounded up", () => {
  expect(priceTokens(1, limit)).toEqual({ costUs: 333_334, fillUs: 1_000_000 });
  expect(priceTokens(3, limit)).toEqual({ costUs: 1_000_000, fillUs: 1_000_000 });
  expect(priceTokens(1, { perSecond: 1e9, burst: 1 })).toEqual({ costUs: 1, fillUs: 1 });
});

test.each([
  ["more than the burst", 4, limit],
  ["no tokens", 0, limit],
  ["less than none, which would give tokens back", -1, limit],
  ["no number", Number.NaN, limit],
  ["no rate", 1, { perSecond: 0, burst: 1 }],
  ["a rate below none", 1, { perSecond: -1, burst: 1 }],
  ["a rate that is no number", 1, { perSecond: Number.NaN, burst: 1 }],
  ["no burst", 1, { perSecond: 1, burst: 0 }],
  ["more than 30 years' worth", 1.1, { perSecond: 1e-9, burst: 2 }],
])("%s has no price", (_what, tokens, given) => {
  expect(priceTokens(tokens, given)).toBeUndefined();
});

test("a burst of more than 30 years fills in 30 years", () => {
  expect(priceTokens(1, { perSecond: 1e-9, burst: 2 })).toEqual({ costUs: 1e15, fillUs: 1e15 });
  expect(priceTokens(1, { perSecond: 1, burst: Number.POSITIVE_INFINITY })).toMatchObject({ fillUs: 1e15 });
});

test("a full bucket is empty after its burst, and a token less is there after each", () => {
  const nowUs = 1_767_225_600_000_000;
  expect(takeTokens(undefined, nowUs, priceTokens(3, limit)!)).toEqual({ emptyUs: nowUs, waitMs: 0 });
  const first = takeTokens(undefined, nowUs, priceTokens(1, limit)!);
  expect(first).toEqual({ emptyUs: nowUs - 666_666, waitMs: 0 });
  expect(takeTokens(first.emptyUs, nowUs, priceTokens(3, limit)!)).toEqual({ ...first, waitMs: 334 });
});

test("a bucket from after now, as after a step back of the clock, is empty now", () => {
  const nowUs = 1_767_225_600_000_000;
  expect(takeTokens(nowUs + 1e9, nowUs, priceTokens(1, limit)!)).toEqual({ emptyUs: nowUs, waitMs: 334 });
});
