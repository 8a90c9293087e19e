import { expect, test } from "vitest";
import { createMemoryDocumentStore } from "../../shared/adapters/memory/memory-document-store.ts";
import { watchDocuments } from "../../shared/runtime/document-watch.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { tellSecondFailure } from "../../shared/runtime/tell-second-failure.ts";
import { until } from "../support/until.ts";

const away = () => new KeylineError("store_unavailable", "away", { retryable: true });
const defect = new Error("a defect");

test.each<[string, (Error | undefined)[], number]>([
  ["one failure alone is not", [away(), undefined, away(), undefined], 0],
  ["each from the second in a row on is", [away(), away(), away(), undefined, away()], 2],
  ["what does not pass by itself is at once", [defect, undefined, defect], 2],
])("what is told: %s", async (_, outcomes, told) => {
  const errors: unknown[] = [];
  const attempted = tellSecondFailure((error) => errors.push(error));
  for (const error of outcomes) await attempted(error ? Promise.reject(error) : Promise.resolve());
  expect(errors).toHaveLength(told);
});

test("a watch of documents that begins before its store is connected tells of no error; of one that stays away it does", async () => {
  const store = createMemoryDocumentStore({ maxEntries: 100 });
  let looks = 0;
  let isAway = false;
  const errors: unknown[] = [];
  const watch = watchDocuments({
    what: "settings",
    store: {
      ...store,
      async revision() {
        looks += 1;
        if (looks === 1 || isAway) throw away();
        return store.revision();
      },
    },
    known: () => [],
    onGone() {},
    onChanged() {},
    onError: (error) => errors.push(error),
  });
  await until("it is loaded", watch.isLoaded);
  expect(errors).toEqual([]);
  isAway = true;
  await until("it is told", () => errors.length > 0);
  await watch.close();
});
