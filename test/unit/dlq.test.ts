import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import {
  dropLetters,
  listLetters,
  type Output,
  replayLetters,
  showLetter,
} from "../../services/cli/dlq/commands.ts";
import { type LetterBox, openLetterBox } from "../../services/cli/dlq/letter-box.ts";
import { printable } from "../../services/cli/dlq/letter-text.ts";
import { changingSelection, momentOf, type Selection } from "../../services/cli/dlq/selection.ts";
import { readCliSettings } from "../../services/cli/settings.ts";
import { createMemoryBroker } from "../../shared/adapters/memory/memory-broker.ts";
import type { DeadLetter } from "../../shared/ports/dead-letter.ts";
import type { PrimaryQueue } from "../../shared/ports/primary-queue.ts";
import type { Delivery } from "../../shared/ports/update-queue.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { topicsOf } from "../../shared/runtime/topics.ts";
import { runKeyline } from "../support/keyline-process.ts";

const { deadLetter } = topicsOf("public/keyline");
const NOW_MS = Date.UTC(2026, 10, 21, 20);
const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function letter(given: Partial<DeadLetter>): DeadLetter {
  return {
    v: 1,
    reason: "not_json",
    path: "",
    value: "1",
    message: "why",
    via: "pulsar",
    key: "key",
    payload: "{}",
    payloadBytes: 2,
    publishTimeMs: NOW_MS,
    parkedAtMs: NOW_MS,
    ...given,
  };
}

/** Dead letters in a broker of their own; each command opens the box anew. */
async function start(letters: readonly (Partial<DeadLetter> | string)[], missing = 0) {
  const queue = createMemoryBroker({ partitions: 1 });
  closing.push(queue.close);
  const producer = queue.producer({ topic: deadLetter, sendTimeoutMs: 1_000, maxPending: 100 });
  const park = (one: Partial<DeadLetter> | string) => {
    const payload = typeof one === "string" ? one : JSON.stringify(letter(one));
    return producer.send({ key: "k", payload, deduplicationId: "" });
  };
  for (const one of letters) await park(one);
  let outstanding = letters.length + missing;
  const open = async (through: PrimaryQueue = queue): Promise<LetterBox> => {
    const box = await openLetterBox({
      queue: through,
      topic: deadLetter,
      subscription: "s",
      backlog: async () => ({ messages: [outstanding], consumers: ["someone"] }),
      problem: () => undefined,
      patienceMs: 200,
    });
    const remove: LetterBox["remove"] = async (stored) => {
      await box.remove(stored);
      outstanding -= 1;
    };
    return { ...box, remove };
  };
  const replayed: string[] = [];
  const updatesProducer = {
    send: async ({ key, payload }: { key: string; payload: string }) =>
      void replayed.push(`${key} ${payload}`),
    connected: () => true,
    async close() {},
  };
  return { queue, open, park: async (one: Partial<DeadLetter>) => park(one), replayed, updatesProducer };
}

type Work = (box: LetterBox, output: Output) => Promise<boolean>;

async function run(open: () => Promise<LetterBox>, work: Work) {
  const said: string[] = [];
  const complaints: string[] = [];
  const box = await open();
  const output = {
    out: (line: string) => void said.push(line),
    complain: (line: string) => void complaints.push(line),
  };
  const ok = await work(box, output).finally(box.close);
  return { ok, said, complaints };
}

const { signal } = new AbortController();
const list = (selection: Selection = {}, limit?: number): Work => {
  return (box, output) => listLetters(box, selection, { json: true, limit }, output);
};
const idsOf = (lines: readonly string[]) => lines.map((line) => (JSON.parse(line) as { id: string }).id);

describe("list", () => {
  const payloadOf = (tenant: string, userId: string) => JSON.stringify({ v: 1, tenant, userId });
  const parked = [
    { reason: "not_json", key: "raw", parkedAtMs: NOW_MS - 3_600_000 },
    { reason: "invalid_update", payload: payloadOf("shop", "42"), key: "42", path: "ops[0]" },
    "nobody's letter",
    { reason: "too_large", payload: payloadOf("shop", "7"), cut: true },
  ] as const;

  test.each<[string, Selection, number | undefined, string[]]>([
    ["all", {}, undefined, ["1:0", "1:1", "1:2", "1:3"]],
    ["the newest", {}, 2, ["1:2", "1:3"]],
    ["by reason", { reason: "invalid_update" }, undefined, ["1:1"]],
    ["by what is unreadable", { reason: "unreadable" }, undefined, ["1:2"]],
    ["by user", { user: "shop:42" }, undefined, ["1:1"]],
    ["by key", { user: "raw" }, undefined, ["1:0"]],
    ["by time", { sinceMs: NOW_MS }, undefined, ["1:1", "1:2", "1:3"]],
    ["by several", { sinceMs: NOW_MS, reason: "not_json" }, undefined, []],
  ])("%s, newest last, and changes nothing", async (_, selection, limit, ids) => {
    const { open } = await start(parked);
    for (const _again of [1, 2]) {
      const { ok, said } = await run(open, list(selection, limit));
      expect([ok, idsOf(said)]).toEqual([true, ids]);
    }
  });

  test.each<[string, readonly (typeof parked)[number][], boolean, string[]]>([
    ["where nothing is parked", [], false, ["no dead letters"]],
    ["where a filter lets none pass", parked, false, ["none of the 4 dead letters fits"]],
    ["not to a program", [], true, []],
  ])("says that there is none, beside the lines: %s", async (_, letters, json, said) => {
    const { open } = await start(letters);
    const listing = await run(open, (box, output) =>
      listLetters(box, { reason: "apply_failed" }, { json, limit: undefined }, output),
    );
    expect(listing).toEqual({ ok: true, said: [], complaints: said });
  });

  test("prints one line each, however the letter tries to break out of it", async () => {
    const { open } = await start([{ path: "a\nb\u001b[2J\u202e", key: "k\r\n", payloadBytes: 7 }]);
    const { said } = await run(open, (box, output) =>
      listLetters(box, {}, { json: false, limit: undefined }, output),
    );
    expect(said).toEqual([
      "1:0  2026-11-21T20:00:00.000Z  not_json  at a\\nb\\u{1b}[2J\\u{202e}  k\\u{d}\\n  pulsar  7 B",
    ]);
    expect(printable("Zoë 鍵 🔑\n")).toBe("Zoë 鍵 🔑\n");
  });

  test.each([
    ["group-zhg2", "-"],
    ["9f1c2d3e-4b5a-4c6d-8e7f-0a1b2c3d4e5f", "-"],
    ["group-zhg2b", "group-zhg2b"],
    ["shop:group-zhg2", "shop:group-zhg2"],
  ])("what can't be read and came under %s is of user %s", async (key, user) => {
    const { open } = await start([{ key, payload: "[[" }]);
    const { said } = await run(open, (box, output) =>
      listLetters(box, { user: key }, { json: false, limit: undefined }, output),
    );
    expect(said[0]).toContain(`  not_json  -  ${user}  pulsar  `);
    const shown = await run(open, (box, output) => showLetter(box, "1:0", { json: false }, output));
    expect(shown.said[0]).toContain(`\nuser       ${user}\nkey        ${key}\n`);
  });

  test.each([
    [3, "11:3625:3"],
    [0, "11:3625"],
  ])("show says where in the ledger an update was, number %i of a pack", async (batchIndex, place) => {
    const { open } = await start([{ position: { ledgerId: 11, entryId: 3625, batchIndex, partition: 3 } }]);
    const { said } = await run(open, (box, output) => showLetter(box, "1:0", { json: false }, output));
    expect(said[0]).toContain(`\nledger     ${place}, partition 3\n`);
  });

  test("show has everything, the payload over several lines", async () => {
    const { open } = await start([{ payload: '{"a":[1]}', stack: "Error: x\n  at y", path: "a" }]);
    const { ok, said } = await run(open, (box, output) => showLetter(box, "1:0", { json: false }, output));
    expect(ok).toBe(true);
    expect(said[0]).toContain("reason     not_json: why");
    expect(said[0]).toContain("Error: x\n  at y");
    expect(said[0]).toContain('{\n  "a": [\n    1\n  ]\n}');
    const missing = await run(open, (box, output) => showLetter(box, "9:9", { json: false }, output));
    expect(missing).toMatchObject({ ok: false, complaints: [expect.stringContaining("9:9 is not among")] });
  });
});

describe("replay", () => {
  const parked = [
    { key: "a", payload: "1" },
    { key: "b", payload: "2", reason: "too_old_to_tell" as const },
    { key: "c", payload: "3", cut: true as const },
  ];
  const replay = (selection: Selection, producer: Parameters<typeof replayLetters>[2]["producer"]): Work => {
    return (box, output) => replayLetters(box, selection, { producer, rate: 10_000, signal }, output);
  };

  test("a dry run says what it would do and changes nothing", async () => {
    const { open, replayed } = await start(parked);
    const dry = await run(open, replay({}, undefined));
    expect(dry.said.at(-2)).toBe("would replay 2, failed 1, of 3 outstanding when it began");
    expect(replayed).toEqual([]);
    expect(idsOf((await run(open, list())).said)).toEqual(["1:0", "1:1", "1:2"]);
  });

  test("publishes what was there once, refuses what is cut, and finds nothing the second time", async () => {
    const { open, replayed, updatesProducer } = await start(parked);
    const first = await run(open, replay({}, updatesProducer));
    expect(first.ok).toBe(false);
    expect(first.complaints).toEqual([expect.stringMatching(/^failed 1:2 .* only the beginning/)]);
    expect(first.said.at(-1)).toContain("1 of them were too_old_to_tell");
    expect(replayed).toEqual(["a 1", "b 2"]);
    const second = await run(open, replay({ ids: new Set(["1:0"]) }, updatesProducer));
    expect(second).toMatchObject({ ok: false, complaints: [expect.stringContaining("1:0 is not among")] });
    expect(replayed).toHaveLength(2);
  });

  test("leaves what is parked meanwhile, also by the replay itself", async () => {
    const { open, park, replayed, updatesProducer } = await start([{ key: "a" }, { key: "b" }]);
    const parksAgain = {
      ...updatesProducer,
      async send(message: { key: string; payload: string; deduplicationId: string }) {
        await updatesProducer.send(message);
        await park({ key: `${message.key} again` });
      },
    };
    expect(await run(open, replay({}, parksAgain))).toMatchObject({ ok: true });
    expect(replayed).toHaveLength(2);
  });

  test("stops where Pulsar does not answer, and what it did not replay is still there", async () => {
    const { open, replayed, updatesProducer } = await start([{ key: "a" }, { key: "b" }, { key: "c" }]);
    const failing = {
      ...updatesProducer,
      async send(message: { key: string; payload: string }) {
        if (replayed.length === 1)
          throw new KeylineError("queue_send_timeout", "no answer", { retryable: true });
        await updatesProducer.send(message);
      },
    };
    await expect(run(open, replay({}, failing))).rejects.toMatchObject({
      code: "queue_send_timeout",
      retryable: true,
    });
    expect(idsOf((await run(open, list())).said)).toEqual(["1:1", "1:2"]);
  });

  test("goes on past a message that Pulsar refuses for good", async () => {
    const { open, replayed, updatesProducer } = await start([{ key: "a" }, { key: "b" }]);
    const refusing = {
      ...updatesProducer,
      async send(message: { key: string; payload: string }) {
        if (message.key === "a") throw new KeylineError("queue_send_refused", "too big");
        await updatesProducer.send(message);
      },
    };
    const { ok, complaints } = await run(open, replay({}, refusing));
    expect([ok, complaints]).toEqual([false, ["failed 1:0 (not_json): too big"]]);
    expect(replayed).toEqual(["b {}"]);
    expect(idsOf((await run(open, list())).said)).toEqual(["1:0"]);
  });

  test("ends by a signal after the letter that is under way", async () => {
    const { open, replayed, updatesProducer } = await start([{ key: "a" }, { key: "b" }]);
    const stopping = new AbortController();
    const options = { producer: updatesProducer, rate: 1, signal: stopping.signal };
    const stopped = await run(open, (box, output) => {
      const out = (line: string) => {
        stopping.abort();
        output.out(line);
      };
      return replayLetters(box, {}, options, { ...output, out });
    });
    expect(stopped).toMatchObject({ ok: false, complaints: ["stopped before the end"] });
    expect(replayed).toEqual(["a {}"]);
  });

  test("one command at a time", async () => {
    const { open } = await start([{ key: "a" }]);
    const first = await open();
    await expect(open()).rejects.toMatchObject({
      code: "dead_letters_busy",
      retryable: true,
      message: expect.stringContaining("someone"),
    });
    await first.close();
    expect((await run(open, list())).said).toHaveLength(1);
  });

  test.each([
    [
      "another command has them",
      async () => ({ messages: [1], consumers: ["someone"] }),
      "dead_letters_busy",
    ],
    [
      "there is no such topic",
      () => Promise.reject(new KeylineError("pulsar_admin_refused", "404")),
      "pulsar_admin_refused",
    ],
  ])("where %s, waiting is over long before its patience", async (_, backlog, code) => {
    const { queue } = await start([]);
    const consumer: PrimaryQueue["consumer"] = (options) => {
      return { ...queue.consumer(options), connected: () => false };
    };
    const options = { queue: { ...queue, consumer }, topic: deadLetter, subscription: "s" };
    const opening = openLetterBox({ ...options, backlog, problem: () => "HTTP 409", patienceMs: 600_000 });
    await expect(opening).rejects.toMatchObject({ code });
  });

  test("letters that do not come are an error and not a wait for ever", async () => {
    const { open, replayed, updatesProducer } = await start([{ key: "a" }], 1);
    await expect(run(open, replay({}, updatesProducer))).rejects.toMatchObject({
      code: "dead_letters_stalled",
      retryable: true,
    });
    expect(replayed).toEqual(["a {}"]);
  });

  test("a letter that comes again, as after a lost connection, is not replayed twice unnoticed", async () => {
    const { queue, open, replayed, updatesProducer } = await start([{ key: "a" }, { key: "b" }]);
    const consumer: PrimaryQueue["consumer"] = (options) => {
      const real = queue.consumer(options);
      let again: Delivery[] = [];
      return {
        ...real,
        async receive(max) {
          if (again.length === 0) again = await real.receive(max);
          return again;
        },
      };
    };
    await expect(run(() => open({ ...queue, consumer }), replay({}, updatesProducer))).rejects.toMatchObject({
      code: "dead_letters_interrupted",
      retryable: true,
    });
    expect(replayed).toEqual(["a {}"]);
  });
});

test("drop takes out what was selected and nothing else", async () => {
  const { open } = await start([{ key: "a" }, { key: "b", reason: "too_large" }, "unreadable"]);
  const drop = (selection: Selection, dryRun: boolean): Work => {
    return (box, output) => dropLetters(box, selection, { dryRun, signal }, output);
  };
  expect((await run(open, drop({}, true))).said.at(-1)).toBe(
    "would drop 3, failed 0, of 3 outstanding when it began",
  );
  expect(await run(open, drop({ reason: "too_large" }, false))).toMatchObject({ ok: true });
  expect(idsOf((await run(open, list())).said)).toEqual(["1:0", "1:2"]);
  await run(open, drop({}, false));
  expect((await run(open, list())).said).toEqual([]);
});

describe("what is asked for", () => {
  test.each<[string, string[], Parameters<typeof changingSelection>[1], string]>([
    ["nothing", [], {}, "no_selection"],
    ["ids and a filter", ["1:2"], { reason: "not_json" }, "selection_conflict"],
    ["a filter and all", [], { user: "a:b", all: true }, "selection_conflict"],
    ["what is no id", ["1:2", "x"], {}, "bad_letter_id"],
  ])("%s is refused", (_, ids, options, code) => {
    expect(() => changingSelection(ids, options)).toThrow(expect.objectContaining({ code }));
  });

  test.each([
    ["90s", NOW_MS - 90_000],
    ["15m", NOW_MS - 900_000],
    ["7d", NOW_MS - 7 * 86_400_000],
    ["2026-11-21T19:00:00Z", NOW_MS - 3_600_000],
    ["2026-11-21T21:00+01:00", NOW_MS],
    ["yesterday", undefined],
    ["2026-13-45", undefined],
    ["5", undefined],
  ])("since %s", (text, moment) => {
    expect(momentOf(text, NOW_MS)).toBe(moment);
  });

  test("the admin API is where the WebSocket API is, unless said", () => {
    const adminUrlOf = (env: NodeJS.ProcessEnv) => readCliSettings(env).pulsarAdminUrl;
    expect(adminUrlOf({ PULSAR_URL: "ws://h:8080" })).toBe("http://h:8080");
    expect(adminUrlOf({ PULSAR_URL: "wss://h/p" })).toBe("https://h/p");
    expect(adminUrlOf({ PULSAR_URL: "ws://h", PULSAR_ADMIN_URL: "http://a" })).toBe("http://a");
    expect(() => adminUrlOf({ PULSAR_URL: "pulsar://h:6650" })).toThrow("PULSAR_ADMIN_URL is required");
  });
});

const dlqSettings = [
  "PULSAR_URL",
  "PULSAR_ADMIN_URL",
  "PULSAR_TOKEN",
  "PULSAR_NAMESPACE",
  "PULSAR_COMPRESSION",
];

test.each([
  ["", []],
  ["dlq", dlqSettings],
  ["dlq replay", dlqSettings],
  ["definitions apply", ["KEYLINE_URL", "ADMIN_TOKEN"]],
  ["tenant set", ["GATEWAY_URL", "ADMIN_TOKEN"]],
  ["import", ["GATEWAY_URL", "WRITE_KEY"]],
])("the help of keyline %s lists the settings that it reads, and no others", async (command, settings) => {
  const words = command.split(" ").filter((word) => word !== "");
  const { code, out } = await runKeyline({}, ...words, "--help");
  const listed = out.flatMap((line) => /^ {2}([A-Z_]+) {2}\(/.exec(line)?.[1] ?? []);
  expect([code, listed]).toEqual([0, settings]);
});

test("keyline says its version", async () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  expect(await runKeyline({}, "--version")).toEqual({ code: 0, out: [version], err: "" });
});
