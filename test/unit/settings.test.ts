import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { withSettingsTables } from "../../scripts/settings-table.ts";
import { choice, integer, readSettings, settingsFrom, text, url } from "../../shared/runtime/settings.ts";

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
          'SERVER="http://me:***@h" does not start with redis://, rediss://',
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

test("the README's tables are those of the code", () => {
  const readme = readFileSync("README.md", "utf8");
  expect(withSettingsTables(readme)).toBe(readme);
  expect(readme).toContain("| `ADMIN_PORT` | `8090` |");
});
