/** First in, first out, each step in constant time also when there are very many. */
export type Fifo<T> = {
  push(item: T): void;
  /** Puts items before the first, in their order. */
  putBack(items: readonly T[]): void;
  shift(): T | undefined;
  first(): T | undefined;
  size(): number;
  clear(): void;
};

/** The part of the array before its head is cut off once it is this long and half of the array. */
const MIN_CUT = 64;

export function createFifo<T>(): Fifo<T> {
  let items: (T | undefined)[] = [];
  let head = 0;
  return {
    push: (item) => {
      items.push(item);
    },
    putBack(returned) {
      if (returned.length === 0) return;
      items = [...returned, ...items.slice(head)];
      head = 0;
    },
    shift() {
      if (head === items.length) return undefined;
      const item = items[head];
      items[head] = undefined;
      head += 1;
      if (head >= MIN_CUT && head * 2 >= items.length) {
        items = items.slice(head);
        head = 0;
      }
      return item;
    },
    first: () => items[head],
    size: () => items.length - head,
    clear() {
      items = [];
      head = 0;
    },
  };
}
