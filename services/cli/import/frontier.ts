/** Up to where everything is settled: rows settle in any order, and are passed in the order of the file. */
export type Frontier<Entry, Result> = {
  /** Returns what is to be called once, with what became of it. */
  add(entry: Entry): (result: Result) => void;
  /** Entries that are not passed. */
  size(): number;
  /** Those of them that are settled. */
  ahead(): { entry: Entry; result: Result }[];
};

export function createFrontier<Entry, Result>(
  onPassed: (entry: Entry, result: Result) => void,
): Frontier<Entry, Result> {
  let entries: { entry: Entry; result: Result | undefined }[] = [];
  let passed = 0;

  function advance(): void {
    for (let first = entries[passed]; first?.result !== undefined; first = entries[passed]) {
      passed += 1;
      onPassed(first.entry, first.result);
    }
    // Not one by one, which would move all the others each time.
    if (passed < 1_024 && passed < entries.length) return;
    entries = entries.slice(passed);
    passed = 0;
  }

  return {
    add(entry) {
      const added: (typeof entries)[number] = { entry, result: undefined };
      entries.push(added);
      return (result) => {
        added.result = result;
        advance();
      };
    },
    size: () => entries.length - passed,
    ahead: () =>
      entries.slice(passed).flatMap(({ entry, result }) => (result === undefined ? [] : [{ entry, result }])),
  };
}
