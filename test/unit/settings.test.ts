import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { documentsWithSettings, withSettingsTables } from "../../scripts/settings-table.ts";
import { audienceUpdateSettings } from "../../services/audience-update/settings.ts";
import { embeddedSettings } from "../../services/embedded/settings.ts";
import { connectPublisher, publisherConnectionSettings } from "../../shared/publish/connect-publisher.ts";
import {
  choice,
  integer,
  readSettings,
  settingsFrom,
  text,
  url,
  urls,
} from "../../shared/runtime/settings.ts";

const settings = {
  port: integer({
    env: "PORT",
    default: "8090",
    unit: "port",
    min: 0,
    max: 65_535,
    meaning: "where it listens",
  }),
  server: url({ env: "SERVER", schemes: ["redis", "rediss"], meaning: "the store" }),
  token: text({
    env: "TOKEN",
    secret: true,
    pattern: /^.{8,}$/,
    form: "8 characters or more",
    meaning: "who may",
  }),
  level: choice({ env: "LEVEL", choices: ["info", "warn"], default: "info", meaning: "what is logged" }),
};
const good = { SERVER: "redis://h", TOKEN: "12345678" };

test.each(["postgres://u:pa/ss@h", "postgres://u:p@ss@h", "postgres://pass@h", "postgres://u:p/a@s/s@h"])(
  "no part of the credentials in %s is printed",
  (SERVER) => {
    expect(() => readSettings(settings, { ...good, SERVER })).toThrow('SERVER="postgres://***@h" does not');
  },
);

describe("settings", () => {
  test("have their types and defaults; an empty text counts as absent", () => {
    expect(readSettings(settings, { ...good, PORT: "" })).toEqual({
      port: 8090,
      server: "redis://h",
      token: "12345678",
      level: "info",
    });
  });

  test("are refused all at once, quoting each value", () => {
    const bad = { PORT: "80x", SERVER: "http://me:hunter2@h", TOKEN: "hush", LEVEL: "loud" };
    expect(() => readSettings(settings, bad)).toThrow(
      expect.objectContaining({
        code: "bad_settings",
        message: [
          'PORT="80x" is not a whole number',
          'SERVER="http://***@h" does not start with redis://, rediss://',
          "TOKEN=(4 characters) is not 8 characters or more",
          'LEVEL="loud" is not one of info, warn',
        ].join("\n"),
      }),
    );
  });

  test.each(["65536", "-1", "1.5", "1e3", " 1", "0x10"])("a port of %j is refused", (PORT) => {
    expect(() => readSettings(settings, { ...good, PORT })).toThrow(`PORT=${JSON.stringify(PORT)}`);
  });

  test("that are required and missing are named with their meaning", () => {
    expect(() => readSettings(settings, {})).toThrow("SERVER is required (URL): the store");
  });

  test("given by the program stand above the environment and are checked alike", () => {
    expect(settingsFrom(settings, { port: 1 }, { ...good, PORT: "2" }).port).toBe(1);
    expect(() => settingsFrom(settings, { port: 70_000 }, good)).toThrow('PORT="70000"');
  });
});

describe("a list of URLs", () => {
  const read = (QUEUES: string) =>
    readSettings({ queues: urls({ ...declared, schemes: ["http"], end: "a" }) }, { QUEUES });
  const declared = { env: "QUEUES", meaning: "queues" };

  test.each([
    ["http://h/a", "http://h/a"],
    ["http://h/a, http://h/ba ,http://i/a", "http://h/a,http://h/ba,http://i/a"],
  ])("%j is taken in its order", (given, queues) => {
    expect(read(given)).toEqual({ queues });
  });

  test.each([
    ["http://h/a,", 'QUEUES="http://h/a," has an empty entry'],
    [",", 'QUEUES="," has an empty entry'],
    ["http://h/a,http://h/ba,http://H:80/a", 'names "http://H:80/a" twice'],
    ["http://h/a http://i/a", 'names "http://h/a http://i/a", which is no URL: commas go between'],
    ["http://h/a;http://i/a", 'names "http://h/a;http://i/a", which is no URL: commas go between'],
    ["http://h/a,http://h/b", 'QUEUES="http://h/a,http://h/b" does not end with a'],
    ["http://h/a,ftp://h/b", 'QUEUES="http://h/a,ftp://h/b" does not start with http://'],
  ])("%j is refused, quoting it", (given, message) => {
    expect(() => read(given)).toThrow(expect.objectContaining({ code: "bad_settings" }));
    expect(() => read(given)).toThrow(message);
  });
});

test.each(["a token\n", "zwölf", "two words"])(
  "a Pulsar token that no header can carry is refused, by its length: %j",
  (PULSAR_TOKEN) => {
    const read = () => readSettings(publisherConnectionSettings, { PULSAR_TOKEN });
    expect(read).toThrow(`PULSAR_TOKEN=(${PULSAR_TOKEN.length} characters) is not visible ASCII characters`);
  },
);

test("a token for readers is refused as one of operators is", () => {
  const read = () => readSettings(audienceUpdateSettings, { READ_TOKEN: "a token\n" });
  expect(read).toThrow(/^READ_TOKEN=\(8 characters\) is not /m);
});

test("a password in what is no URL is not shown", () => {
  const read = () => readSettings(audienceUpdateSettings, { REDIS_URL: "redis:/me:hunter2@host" });
  expect(read).toThrow(/^REDIS_URL="\*\*\*@host" /m);
});

describe("settings that contradict each other are refused, quoting both", () => {
  const urls = { PULSAR_URL: "ws://h", SQS_QUEUE_URL: "http://h/q.fifo", REDIS_URL: "redis://h" };
  const given = { ...urls, ADMIN_TOKEN: "12345678" };
  const refusal = (...problems: string[]) =>
    expect.objectContaining({ code: "bad_settings", message: problems.join("\n") });

  test.each(Object.entries({ audienceUpdateSettings, publisherConnectionSettings, embeddedSettings }))(
    "a vote that may end before the next is cast, of %s",
    (_, declared) => {
      const problem = 'VOTE_TTL_MS="3000" is not longer than 2 times VOTE_INTERVAL_MS="1500"';
      const read = (VOTE_INTERVAL_MS: string) => () => readSettings(declared, { ...given, VOTE_INTERVAL_MS });
      expect(read("1500")).toThrow(refusal(problem));
      expect(read("1499")).not.toThrow();
    },
  );

  test.each(Object.entries({ publisherConnectionSettings, embeddedSettings }))(
    "a deadline that leaves no time for the other path, of %s",
    (_, declared) => {
      const read = (PUBLISH_DEADLINE_MS: string) => () =>
        readSettings(declared, { ...given, PUBLISH_DEADLINE_MS, PULSAR_SEND_TIMEOUT_MS: "1999" });
      const problem = (env: string) => `PUBLISH_DEADLINE_MS="1999" is not longer than ${env}`;
      expect(read("1999")).toThrow(
        refusal(problem('PULSAR_SEND_TIMEOUT_MS="1999"'), problem('SQS_SEND_TIMEOUT_MS="2000"')),
      );
      expect(read("2001")).not.toThrow();
    },
  );

  test.each(Object.entries({ audienceUpdateSettings, embeddedSettings }))(
    "a message that SQS shows again before its extension is answered, of %s",
    (_, declared) => {
      const env = { ...given, SQS_VISIBILITY_TIMEOUT_SECONDS: "5" };
      const read = (SQS_SEND_TIMEOUT_MS: string) => () =>
        readSettings(declared, { ...env, SQS_SEND_TIMEOUT_MS });
      const problem =
        'SQS_VISIBILITY_TIMEOUT_SECONDS="5" is not longer than 2 times SQS_SEND_TIMEOUT_MS="2500"';
      expect(read("2500")).toThrow(refusal(problem));
      expect(read("2499")).not.toThrow();
    },
  );

  test.each(Object.entries({ audienceUpdateSettings, embeddedSettings }))(
    "a profile that has no room for an update, of %s",
    (_, declared) => {
      const read = (MAX_PROFILE_LENGTH: string) => () =>
        readSettings(declared, { ...given, MAX_PROFILE_LENGTH, MAX_UPDATE_BYTES: "20000" });
      expect(read("20000")).toThrow(
        refusal('MAX_PROFILE_LENGTH="20000" is not longer than MAX_UPDATE_BYTES="20000"'),
      );
      expect(read("20001")).not.toThrow();
    },
  );

  test("before a publisher connects", async () => {
    const connecting = connectPublisher({
      pulsarUrl: "ws://h",
      sqsQueueUrl: "http://h/q",
      publishDeadlineMs: 500,
    });
    await expect(connecting).rejects.toThrow('PUBLISH_DEADLINE_MS="500" is not longer than');
  });

  test("beside what is wrong by itself, where both can be compared", () => {
    const bad = { ...given, VOTE_TTL_MS: "100", LOG_LEVEL: "loud", VOTE_INTERVAL_MS: "x" };
    expect(() => readSettings(audienceUpdateSettings, bad)).toThrow(
      refusal(
        'VOTE_INTERVAL_MS="x" is not a whole number',
        'LOG_LEVEL="loud" is not one of trace, debug, info, warn, error, fatal',
      ),
    );
  });
});

test.each([
  ["HORIZON_DAYS", "28", "29"],
  ["BREAKER_MIN_CALLS", "101", "100"],
  ["SIGNAL_BAD_READINGS", "21", "20"],
  ["SHUTDOWN_TIMEOUT_MS", "0", "1000"],
  ["MAX_NUMBERED_USERS", "10000001", "10000000"],
])("%s=%s does harm and is refused, %s is taken", (env, harmful, good) => {
  const setting = Object.values(embeddedSettings).find((declared) => declared.env === env)!;
  const read = (text: string) => () => readSettings({ setting }, { [env]: text });
  expect(read(harmful)).toThrow(`${env}="${harmful}" is not from `);
  expect(read(good)).not.toThrow();
});

test("the documents' tables are those of the code", () => {
  const [readme, all] = documentsWithSettings.map((document) => {
    const text = readFileSync(document, "utf8");
    expect(withSettingsTables(text)).toBe(text);
    return text;
  });
  for (const own of [
    "`ADMIN_PORT` | `8090`",
    "`TAIL_MS` | `5000`",
    "`REPLAY_RATE` | `200`",
    "`GATEWAY_HOST` | `127.0.0.1`",
    "`PULSAR_ADMIN_URL` |  | URL | Pulsar's admin API; for",
  ])
    expect(all).toContain(`| ${own} `);
  for (const required of ["PULSAR_URL", "SQS_QUEUE_URL", "REDIS_URL", "ADMIN_TOKEN"])
    expect(readme).toContain(`| \`${required}\` | required |`);
});
