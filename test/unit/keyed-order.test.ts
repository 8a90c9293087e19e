import { expect, test } from "vitest";
import { createKeyedOrder } from "../../shared/runtime/keyed-order.ts";

test("work under one key runs one after another, in the order of the calls, also behind what failed", async () => {
  const inOrder = createKeyedOrder();
  const steps: string[] = [];
  const gate = Promise.withResolvers<void>();
  const work = (name: string, until?: Promise<void>) => async () => {
    steps.push(`${name} begins`);
    await until;
    steps.push(`${name} ends`);
    if (name === "second") throw new Error(name);
    return name;
  };
  const calls = [
    inOrder("a", work("first", gate.promise)),
    inOrder("a", work("second")),
    inOrder("a", work("third")),
  ];
  const settled = Promise.allSettled(calls);
  await inOrder("b", work("other"));
  expect(steps).toEqual(["first begins", "other begins", "other ends"]);
  gate.resolve();
  expect((await settled).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(steps.slice(3)).toEqual([
    "first ends",
    "second begins",
    "second ends",
    "third begins",
    "third ends",
  ]);
  expect(await inOrder("a", work("last"))).toBe("last");
});
