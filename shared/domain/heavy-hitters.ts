/** Who comes most often, in a bounded memory. */
export type HeavyHitters = {
  /** Counts one. @returns how often it came, at least; at most the number of all divided by `size` + 1 is missing. */
  add(key: string): number;
  /** The most frequent first, each with its count. */
  top(count: number): { key: string; count: number }[];
  clear(): void;
};

/**
 * Misra and Gries, "Finding repeated elements" (1982): where all counters are taken, one less for each of them, so that
 * whoever comes more often than every (`size` + 1)-th time keeps one. Constant time on average: each decrement takes back
 * what an `add` gave.
 */
export function createHeavyHitters(size: number): HeavyHitters {
  const counts = new Map<string, number>();

  function decrementAll(): void {
    for (const [key, count] of counts)
      if (count === 1) counts.delete(key);
      else counts.set(key, count - 1);
  }

  return {
    add(key) {
      const count = (counts.get(key) ?? 0) + 1;
      if (count > 1 || counts.size < size) {
        counts.set(key, count);
        return count;
      }
      decrementAll();
      return 0;
    },
    top: (count) =>
      [...counts]
        .map(([key, times]) => ({ key, count: times }))
        .toSorted((a, b) => b.count - a.count)
        .slice(0, count),
    clear: () => counts.clear(),
  };
}
