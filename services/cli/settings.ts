import { connectionSettings } from "../../shared/runtime/connection-settings.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { readSettings, settingsFrom, text, url, type Values } from "../../shared/runtime/settings.ts";

/** What `keyline dlq` reads from the environment. */
const dlqSettings = {
  pulsarUrl: connectionSettings.pulsarUrl,
  pulsarAdminUrl: url({
    env: "PULSAR_ADMIN_URL",
    schemes: ["http", "https"],
    default: "",
    meaning:
      "Pulsar's admin API; for `ws://` and `wss://` by default the same host and port, for `pulsar://` required",
  }),
  pulsarToken: connectionSettings.pulsarToken,
  pulsarNamespace: connectionSettings.pulsarNamespace,
};

/** What `keyline definitions` reads. */
const definitionsSettings = {
  keylineUrl: url({
    env: "KEYLINE_URL",
    schemes: ["http", "https"],
    default: "http://127.0.0.1:8090",
    meaning: "of `keyline definitions`: the admin endpoint of an audience-update service",
  }),
  adminToken: text({
    env: "ADMIN_TOKEN",
    default: "",
    secret: true,
    pattern: /^[\u0021-\u007e]+$/,
    form: "one token of printable characters",
    meaning: "of `keyline definitions`: one of the service's `ADMIN_TOKEN`, without the name before it",
  }),
};

/** What the commands read from the environment. */
export const cliSettings = { ...dlqSettings, ...definitionsSettings };

/**
 * What is given on the command line stands above the environment.
 * @throws KeylineError `bad_settings`
 */
export function readDefinitionsSettings(
  given: { url?: string; token?: string },
  env: NodeJS.ProcessEnv,
): Values<typeof definitionsSettings> {
  const { url: keylineUrl, token: adminToken } = given;
  return settingsFrom(
    definitionsSettings,
    {
      ...(keylineUrl === undefined ? {} : { keylineUrl }),
      ...(adminToken === undefined ? {} : { adminToken }),
    },
    env,
  );
}

/**
 * The settings of `keyline dlq` with the admin API's address filled in.
 * @throws KeylineError `bad_settings`
 */
export function readCliSettings(env: NodeJS.ProcessEnv): Values<typeof dlqSettings> {
  const settings = readSettings(dlqSettings, env);
  if (settings.pulsarAdminUrl !== "") return settings;
  if (!/^wss?:/.test(settings.pulsarUrl)) {
    const text = `PULSAR_ADMIN_URL is required with PULSAR_URL=${settings.pulsarUrl}: the address of Pulsar's admin API`;
    throw new KeylineError("bad_settings", text, { path: "PULSAR_ADMIN_URL" });
  }
  return { ...settings, pulsarAdminUrl: settings.pulsarUrl.replace(/^ws/, "http") };
}
