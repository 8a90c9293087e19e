import { describe, expect, test } from "vitest";
import {
  createMailboxes,
  type MailboxLimits,
  type MailboxOptions,
  type Turn,
} from "../../services/audience-update/mailboxes.ts";

const LIMITS: MailboxLimits = {
  maxUpdatesPerTurn: 10,
  maxUsersPerRound: 10,
  maxRounds: 10,
  maxUserSharePercent: 50,
  maxInFlightMessages: 8,
};

/** Mailboxes whose rounds end when the test says so. */
function harness(limits: Partial<MailboxLimits> = {}, overrides: Partial<MailboxOptions<number>> = {}) {
  type Result = Awaited<ReturnType<MailboxOptions<number>["runRound"]>>;
  type Finishing = Result["finishing"];
  const rounds: {
    turns: Turn<number>[];
    end(failed?: Turn<number>[], finishing?: Finishing): void;
    fail(): void;
  }[] = [];
  const parked: number[] = [];
  const mailboxes = createMailboxes<number>({
    limits: { ...LIMITS, ...limits },
    restMs: () => 1,
    runRound: (turns) => {
      const { promise, resolve, reject } = Promise.withResolvers<Result>();
      rounds.push({
        turns,
        end: (failed = [], finishing = new Map()) =>
          resolve({ unsettled: new Map(failed.map((turn) => [turn, turn.items])), finishing }),
        fail: () => reject(new Error("broken")),
      });
      return promise;
    },
    keepOwn: (_, items) => items,
    parkSurplus: (item) => void parked.push(item),
    ...overrides,
  });
  return { mailboxes, rounds, parked };
}

const content = (turns: Turn<number>[]) => turns.map(({ key, items }) => [key, ...items]);

test("what arrives together runs in one round, each user's items in order of arrival", async () => {
  const { mailboxes, rounds } = harness();
  for (const [key, item] of [
    ["a", 1],
    ["b", 1],
    ["a", 2],
  ] as const)
    mailboxes.deliver(key, item, "live");
  await expect.poll(() => rounds.length).toBe(1);
  expect(content(rounds[0]!.turns)).toEqual([
    ["a", 1, 2],
    ["b", 1],
  ]);
});

test("a user is never in two rounds at once, others go on", async () => {
  const { mailboxes, rounds } = harness();
  mailboxes.deliver("a", 1, "live");
  await expect.poll(() => rounds.length).toBe(1);
  mailboxes.deliver("a", 2, "live");
  mailboxes.deliver("b", 1, "live");
  await expect.poll(() => rounds.length).toBe(2);
  expect(content(rounds[1]!.turns)).toEqual([["b", 1]]);
  rounds[0]!.end();
  await expect.poll(() => rounds.length).toBe(3);
  expect(content(rounds[2]!.turns)).toEqual([["a", 2]]);
});

test("a turn takes no more than its bound, and the rest goes next", async () => {
  const { mailboxes, rounds } = harness({ maxUpdatesPerTurn: 2 });
  for (const item of [1, 2, 3]) mailboxes.deliver("a", item, "live");
  await expect.poll(() => rounds.length).toBe(1);
  rounds[0]!.end();
  await expect.poll(() => rounds.length).toBe(2);
  expect(rounds.map(({ turns }) => content(turns))).toEqual([[["a", 1, 2]], [["a", 3]]]);
});

test("rounds and users in a round are bounded", async () => {
  const { mailboxes, rounds } = harness({ maxUsersPerRound: 2, maxRounds: 1 });
  for (const key of ["a", "b", "c"]) mailboxes.deliver(key, 1, "live");
  await expect.poll(() => rounds.length).toBe(1);
  expect(content(rounds[0]!.turns)).toEqual([
    ["a", 1],
    ["b", 1],
  ]);
  rounds[0]!.end();
  await expect.poll(() => rounds.length).toBe(2);
  expect(content(rounds[1]!.turns)).toEqual([["c", 1]]);
});

test("live ones come before bulk, and a user's bulk comes along with what is live", async () => {
  const { mailboxes, rounds } = harness({ maxUsersPerRound: 2, maxRounds: 1 });
  mailboxes.deliver("a", 1, "bulk");
  mailboxes.deliver("b", 1, "bulk");
  mailboxes.deliver("c", 1, "live");
  mailboxes.deliver("b", 2, "live");
  await expect.poll(() => rounds.length).toBe(1);
  expect(content(rounds[0]!.turns)).toEqual([
    ["c", 1],
    ["b", 1, 2],
  ]);
  rounds[0]!.end();
  await expect.poll(() => rounds.length).toBe(2);
  expect(content(rounds[1]!.turns)).toEqual([["a", 1]]);
});

test("a failed turn comes again in front of what arrived meanwhile, and only its user rests", async () => {
  const { mailboxes, rounds } = harness();
  mailboxes.deliver("a", 1, "live");
  mailboxes.deliver("b", 1, "live");
  await expect.poll(() => rounds.length).toBe(1);
  mailboxes.deliver("a", 2, "live");
  rounds[0]!.end([rounds[0]!.turns[0]!]);
  await expect.poll(() => rounds.length).toBe(2);
  expect(rounds[1]!.turns).toEqual([{ key: "a", items: [1, 2], failures: 1 }]);
  rounds[1]!.end();
  await expect.poll(() => mailboxes.counts()).toEqual({ users: 0, resting: 0 });
});

test("a round that breaks fails each of its turns, and failures are counted until one succeeds", async () => {
  const failures: number[] = [];
  const { mailboxes, rounds } = harness({}, { restMs: (count) => failures.push(count) });
  mailboxes.deliver("a", 1, "live");
  for (const round of [0, 1, 2]) {
    await expect.poll(() => rounds.length).toBe(round + 1);
    if (round < 2) rounds[round]!.fail();
    else rounds[round]!.end();
  }
  expect(failures).toEqual([1, 2]);
  mailboxes.deliver("a", 2, "live");
  await expect.poll(() => rounds.length).toBe(4);
  expect(rounds[3]!.turns[0]!.failures).toBe(0);
});

test("a mailbox that runs dry is dropped", async () => {
  const { mailboxes, rounds } = harness();
  mailboxes.deliver("a", 1, "live");
  expect(mailboxes.counts().users).toBe(1);
  await expect.poll(() => rounds.length).toBe(1);
  rounds[0]!.end();
  await expect.poll(() => mailboxes.counts().users).toBe(0);
});

test("a turn that is still finishing holds up its own user, and nobody else", async () => {
  const { mailboxes, rounds } = harness({ maxRounds: 1 });
  mailboxes.deliver("a", 1, "live");
  mailboxes.deliver("b", 1, "live");
  await expect.poll(() => rounds.length).toBe(1);
  const [a] = rounds[0]!.turns;
  const { promise, resolve } = Promise.withResolvers<void>();
  rounds[0]!.end([], new Map([[a!, promise]]));
  mailboxes.deliver("a", 2, "live");
  mailboxes.deliver("b", 2, "live");
  await expect.poll(() => rounds.length).toBe(2);
  expect(content(rounds[1]!.turns)).toEqual([["b", 2]]);
  rounds[1]!.end();
  resolve();
  await expect.poll(() => rounds.length).toBe(3);
  expect(content(rounds[2]!.turns)).toEqual([["a", 2]]);
});

describe("what comes for a user whose turns fail and who has its share already", () => {
  /** Until `a` has failed so often that it rests for long; with others whose turns succeed in between, or at the end. */
  async function failing(others: "in between" | "at the end" | "once") {
    let restMs = 20;
    const { mailboxes, rounds, parked } = harness({}, { restMs: () => restMs });
    let ended = 0;
    const endNext = async (fails: boolean) => {
      const count = ended;
      ended += 1;
      await expect.poll(() => rounds.length).toBeGreaterThan(count);
      rounds[count]!.end(fails ? rounds[count]!.turns : []);
    };
    const succeedWith = async (key: string) => {
      mailboxes.deliver(key, 1, "live");
      await endNext(false);
    };
    mailboxes.deliver("a", 0, "live");
    for (let failures = 1; failures <= 6; failures += 1) {
      if (failures === 6) restMs = 60_000;
      await endNext(true);
      await expect.poll(() => mailboxes.counts().resting).toBe(1);
      if (others === "in between" || (others === "once" && failures === 1)) await succeedWith("b");
    }
    await succeedWith("c");
    for (const item of [1, 2, 3, 4, 5]) mailboxes.deliver("a", item, "live");
    mailboxes.close();
    return parked;
  }

  test("is parked where the turns of others succeed", async () => {
    expect(await failing("in between")).toEqual([4, 5]);
  });

  test("is parked where nobody else has had a turn since theirs succeeded: he may hold all there is", async () => {
    expect(await failing("once")).toEqual([4, 5]);
  });

  test("is parked also where it came while the turn ran that failed", async () => {
    const { mailboxes, rounds, parked } = harness({}, { restMs: () => 20 });
    let ended = 0;
    const next = async () => {
      await expect.poll(() => rounds.length).toBeGreaterThan(ended);
      ended += 1;
      return rounds[ended - 1]!;
    };
    mailboxes.deliver("a", 0, "live");
    for (let failures = 1; failures <= 5; failures += 1) {
      const round = await next();
      round.end(round.turns);
      await expect.poll(() => mailboxes.counts().resting).toBe(1);
      mailboxes.deliver("b", 1, "live");
      (await next()).end();
    }
    const last = await next();
    for (const item of [1, 2, 3, 4, 5]) mailboxes.deliver("a", item, "live");
    last.end(last.turns);
    await expect.poll(() => parked).toEqual([4, 5]);
    mailboxes.close();
  });

  /** Seed 11 of the simulation, 2026-11-29: the store was back, and the user still rested. */
  test("waits where nobody's did: an outage of the store parks nothing", async () => {
    expect(await failing("at the end")).toEqual([]);
  });

  /** Seed 348 of the simulation, 2026-11-30: a store that is slow answers some in time, and others not. */
  test("waits where the store gave no answer, whatever it gave others", async () => {
    let failuresOfA = 0;
    const { mailboxes, parked } = harness(
      {},
      {
        restMs: () => 5,
        async runRound(turns) {
          for (const { key, failures } of turns) if (key === "a") failuresOfA = failures;
          const failed = turns.filter(({ key }) => key === "a");
          const unsettled = new Map(failed.map((turn) => [turn, turn.items]));
          return { unsettled, unanswered: new Set(failed), finishing: new Map() };
        },
      },
    );
    mailboxes.deliver("a", 0, "live");
    while (failuresOfA < 10) {
      mailboxes.deliver("b", 1, "live");
      await new Promise((resume) => setTimeout(resume, 2));
    }
    for (const item of [1, 2, 3, 4, 5]) mailboxes.deliver("a", item, "live");
    expect(parked).toEqual([]);
    mailboxes.close();
  });

  test("waits where those of others, which succeeded, fail as well by now", async () => {
    const fails = new Set(["a"]);
    let failuresOfA = 0;
    const { mailboxes, parked } = harness(
      {},
      {
        restMs: () => 20,
        async runRound(turns) {
          for (const { key, failures } of turns) if (key === "a") failuresOfA = failures;
          const failed = turns.filter(({ key }) => fails.has(key));
          return { unsettled: new Map(failed.map((turn) => [turn, turn.items])), finishing: new Map() };
        },
      },
    );
    mailboxes.deliver("a", 0, "live");
    mailboxes.deliver("b", 0, "live");
    await expect.poll(() => failuresOfA).toBeGreaterThan(0);
    fails.add("b");
    mailboxes.deliver("b", 1, "live");
    await expect.poll(() => failuresOfA, { interval: 5 }).toBeGreaterThan(10);
    for (const item of [1, 2, 3, 4, 5]) mailboxes.deliver("a", item, "live");
    await expect.poll(() => failuresOfA, { interval: 5 }).toBeGreaterThan(15);
    expect(parked).toEqual([]);
    mailboxes.close();
  });
});
