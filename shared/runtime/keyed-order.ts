/** Runs work under a key after all earlier work under it is over, and settles as the work does. */
export type KeyedOrder = <T>(key: string, work: () => Promise<T>) => Promise<T>;

/** One after another for each key, in the order of the calls; different keys side by side. Keeps nothing of idle keys. */
export function createKeyedOrder(): KeyedOrder {
  const lastOf = new Map<string, Promise<void>>();
  return async (key, work) => {
    const before = lastOf.get(key);
    const { promise: over, resolve } = Promise.withResolvers<void>();
    lastOf.set(key, over);
    try {
      await before;
      return await work();
    } finally {
      if (lastOf.get(key) === over) lastOf.delete(key);
      resolve();
    }
  };
}
