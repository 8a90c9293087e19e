import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createConnectAttempts } from "../../shared/adapters/pulsar-websocket/connect-attempts.ts";

const MAX_RANDOM = 1;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Begins an attempt and says what it was told. */
function begin(attempts: ReturnType<typeof createConnectAttempts>, losses: number) {
  const told: string[] = [];
  return { told, ...attempts.begin(losses, (why) => told.push(why)) };
}

test.each([0, 1])(
  "after %i losses an attempt is given up after the connect timeout, and says so",
  (losses) => {
    const first = begin(createConnectAttempts(2_000, 30_000, 4), losses);
    vi.advanceTimersByTime(1_999);
    expect(first.told).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(first.told).toEqual(["no answer within 2000 ms"]);
  },
);

test.each([
  [2, 4_000],
  [3, 8_000],
  [4, 16_000],
  [5, 30_000],
  [2_000, 30_000],
])("after %i losses an attempt may take up to %i ms, and never less than the first", (losses, ms) => {
  const random = vi.spyOn(Math, "random");
  const attempts = createConnectAttempts(2_000, 30_000, 4);
  random.mockReturnValue(MAX_RANDOM);
  const patient = begin(attempts, losses);
  random.mockReturnValue(0);
  const quick = begin(attempts, losses);
  vi.advanceTimersByTime(2_000);
  expect(quick.told).toHaveLength(1);
  vi.advanceTimersByTime(ms - 2_001);
  expect(patient.told).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(patient.told).toHaveLength(1);
});

test("an attempt that is over is told nothing more", () => {
  const attempts = createConnectAttempts(2_000, 30_000, 4);
  const [opened, refused] = [begin(attempts, 0), begin(attempts, 0)];
  opened.opened();
  refused.over();
  vi.advanceTimersByTime(60_000);
  begin(attempts, 0).opened();
  expect([opened.told, refused.told]).toEqual([[], []]);
});

test("a quick answer ends the attempts that have waited longer than the connect timeout, and no others", () => {
  vi.spyOn(Math, "random").mockReturnValue(MAX_RANDOM);
  const attempts = createConnectAttempts(2_000, 30_000, 4);
  const dead = begin(attempts, 6);
  vi.advanceTimersByTime(8_100);
  const young = begin(attempts, 6);
  vi.advanceTimersByTime(1_900);
  const answered = begin(attempts, 6);
  vi.advanceTimersByTime(50);
  answered.opened();
  expect(dead.told).toEqual(["no answer, while another connection had its answer at once"]);
  expect(young.told).toEqual([]);
});

test("a slow answer ends none that has not waited three times as long: the server is slow, the line is good", () => {
  vi.spyOn(Math, "random").mockReturnValue(MAX_RANDOM);
  const attempts = createConnectAttempts(2_000, 30_000, 4);
  const before = begin(attempts, 6);
  vi.advanceTimersByTime(9_000);
  const answered = begin(attempts, 6);
  vi.advanceTimersByTime(5_000);
  answered.opened();
  expect(before.told).toEqual([]);
  const last = begin(attempts, 6);
  vi.advanceTimersByTime(5_000);
  last.opened();
  expect(before.told).toHaveLength(1);
});

test("of several that ask again one takes at most 8 s, so that a line that works again is soon found out", () => {
  vi.spyOn(Math, "random").mockReturnValue(MAX_RANDOM);
  const attempts = createConnectAttempts(2_000, 30_000, 4);
  const [patient, scout] = [begin(attempts, 9), begin(attempts, 9)];
  vi.advanceTimersByTime(8_000);
  expect([scout.told, patient.told]).toEqual([["no answer within 8000 ms"], []]);
  // The next one that begins has its part.
  const next = begin(attempts, 9);
  vi.advanceTimersByTime(8_000);
  expect([next.told, patient.told]).toEqual([["no answer within 8000 ms"], []]);
});

test("those that ask again and again keep no room from first attempts", async () => {
  const attempts = createConnectAttempts(2_000, 30_000, 1);
  const begun: string[] = [];
  const ask = (name: string, losses: number) =>
    attempts.inTurn(losses, () => {
      begun.push(name);
      begin(attempts, losses);
    });
  ask("hopeless", 5);
  ask("hopeless too", 5);
  await Promise.resolve();
  ask("new", 0);
  ask("lost its session", 1);
  await Promise.resolve();
  expect(begun).toEqual(["hopeless", "new"]);
});

test("no more attempts than the most are under way; the others begin in their turn, unless taken back", async () => {
  const attempts = createConnectAttempts(2_000, 30_000, 2);
  const begun: (string | ReturnType<typeof begin>)[] = [];
  const ask = (name: string) => attempts.inTurn(0, () => begun.push(name, begin(attempts, 0)));
  const names = () => begun.filter((each) => typeof each === "string");
  ask("a");
  ask("b");
  const takeBack = ask("c");
  ask("d");
  ask("e");
  expect(names()).toEqual([]);
  await Promise.resolve();
  expect(names()).toEqual(["a", "b"]);
  takeBack();
  (begun[1] as ReturnType<typeof begin>).opened();
  expect(names()).toEqual(["a", "b", "d"]);
  // Those that nobody answers make room too.
  vi.advanceTimersByTime(2_000);
  expect(names()).toEqual(["a", "b", "d", "e"]);
});
