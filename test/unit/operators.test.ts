import { expect, test } from "vitest";
import { adminSettings } from "../../services/audience-update/settings.ts";
import { readSettings } from "../../shared/runtime/settings.ts";

const read = (ADMIN_TOKEN: string) => readSettings({ token: adminSettings.adminToken }, { ADMIN_TOKEN });

test.each(["tok12345", "tok12345==", "alice=tok12345", "alice=tok12345,bob=tok67890"])(
  "%s gives operators",
  (setting) => expect(read(setting).token).toBe(setting),
);

test.each([
  ["alice=tok12345,bob=tok12345", "gives alice and bob the same token"],
  ["alice=tok67890,tok12345,bob=tok12345", "gives no name and bob the same token"],
  ["alice=tok12345,alice=tok67890", "is not a token of 8 or more printable characters, or name=token"],
  ["alice=tok1234", "is not a token of 8"],
])("%s is refused, without its tokens", (setting, problem) => {
  expect(() => read(setting)).toThrow(`ADMIN_TOKEN=(${setting.length} characters) ${problem}`);
  expect(() => read(setting)).not.toThrow(/tok\d/);
});
