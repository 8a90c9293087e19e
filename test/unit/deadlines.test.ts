import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createDeadlines } from "../../shared/runtime/deadlines.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const item = (name: string) => ({ name, slot: -1 });

test("each is over at its own moment or within 5 ms after it, whatever the order in which they came", () => {
  const over = new Map<string, number>();
  const deadlines = createDeadlines<ReturnType<typeof item>>(({ name }) => over.set(name, performance.now()));
  const startedAtMs = performance.now();
  for (const afterMs of [300, 20, 1_000, 21, 0]) deadlines.add(item(String(afterMs)), startedAtMs + afterMs);
  vi.advanceTimersByTime(2_000);
  expect([...over.keys()].toSorted((a, b) => Number(a) - Number(b))).toEqual([
    "0",
    "20",
    "21",
    "300",
    "1000",
  ]);
  for (const [name, atMs] of over) {
    expect(atMs - startedAtMs).toBeGreaterThanOrEqual(Number(name));
    expect(atMs - startedAtMs).toBeLessThanOrEqual(Number(name) + 6);
  }
});

test("what is removed is never over, and no timer is left when none waits", () => {
  const over: string[] = [];
  const deadlines = createDeadlines<ReturnType<typeof item>>(({ name }) => over.push(name));
  const [one, other] = [item("one"), item("other")];
  deadlines.add(one, performance.now() + 50);
  deadlines.add(other, performance.now() + 50);
  expect(vi.getTimerCount()).toBe(1);
  deadlines.remove(one);
  deadlines.remove(one);
  expect(vi.getTimerCount()).toBe(1);
  deadlines.remove(other);
  expect(vi.getTimerCount()).toBe(0);
  deadlines.add(one, performance.now() + 50);
  vi.advanceTimersByTime(100);
  expect(over).toEqual(["one"]);
});

test("one that ends may remove another of the same moment, and have a third wait", () => {
  const over: string[] = [];
  const [one, other, third] = [item("one"), item("other"), item("third")];
  const deadlines = createDeadlines<ReturnType<typeof item>>(({ name }) => {
    over.push(name);
    if (name !== "one") return;
    deadlines.remove(other);
    deadlines.add(third, performance.now());
  });
  deadlines.add(one, performance.now() + 50);
  deadlines.add(other, performance.now() + 50);
  vi.advanceTimersByTime(100);
  expect(over).toEqual(["one", "third"]);
  expect(vi.getTimerCount()).toBe(0);
});
