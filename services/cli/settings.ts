import { connectionSettings } from "../../shared/runtime/connection-settings.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { readSettings, settingsFrom, text, url, type Values } from "../../shared/runtime/settings.ts";

/** What `keyline dlq` reads from the environment. */
export const dlqSettings = {
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
  pulsarCompression: connectionSettings.pulsarCompression,
};

const adminToken = text({
  env: "ADMIN_TOKEN",
  default: "",
  secret: true,
  pattern: /^[\u0021-\u007e]+$/,
  form: "one token of printable characters",
  meaning:
    "of `keyline definitions` and `keyline tenant`: one of the service's `ADMIN_TOKEN`, without the name before it",
});

/** What `keyline definitions` reads. */
export const definitionsSettings = {
  keylineUrl: url({
    env: "KEYLINE_URL",
    schemes: ["http", "https"],
    default: "http://127.0.0.1:8090",
    meaning: "of `keyline definitions`: the admin endpoint of an audience-update service",
  }),
  adminToken,
};

const gatewayUrl = url({
  env: "GATEWAY_URL",
  schemes: ["http", "https"],
  default: "http://127.0.0.1:8091",
  meaning: "of `keyline tenant` and `keyline import`: a gateway",
});

/** What `keyline tenant` reads. */
export const tenantSettings = { gatewayUrl, adminToken };

/** What `keyline import` reads. */
export const importSettings = {
  gatewayUrl,
  writeKey: text({
    env: "WRITE_KEY",
    default: "",
    secret: true,
    pattern: /^[\u0021-\u007e]+$/,
    form: "a write key of printable characters",
    meaning: "of `keyline import`: a write key of the tenant whose users the file is of",
  }),
};

/** What the commands read from the environment. */
export const cliSettings = { ...dlqSettings, ...definitionsSettings, ...tenantSettings, ...importSettings };

type Given = { url?: string; token?: string };

/**
 * What is given on the command line stands above the environment.
 * @throws KeylineError `bad_settings`
 */
export function readDefinitionsSettings(
  given: Given,
  env: NodeJS.ProcessEnv,
): Values<typeof definitionsSettings> {
  const { url: keylineUrl, token } = given;
  return settingsFrom(
    definitionsSettings,
    withToken(keylineUrl === undefined ? {} : { keylineUrl }, token),
    env,
  );
}

/** The same for `keyline tenant`. @throws KeylineError `bad_settings` */
export function readTenantSettings(given: Given, env: NodeJS.ProcessEnv): Values<typeof tenantSettings> {
  const { url: gatewayUrl, token } = given;
  return settingsFrom(tenantSettings, withToken(gatewayUrl === undefined ? {} : { gatewayUrl }, token), env);
}

/** The same for `keyline import`. @throws KeylineError `bad_settings` */
export function readImportSettings(
  { url: gatewayUrl, writeKey }: { url?: string; writeKey?: string },
  env: NodeJS.ProcessEnv,
): Values<typeof importSettings> {
  const given = {
    ...(gatewayUrl === undefined ? {} : { gatewayUrl }),
    ...(writeKey === undefined ? {} : { writeKey }),
  };
  return settingsFrom(importSettings, given, env);
}

function withToken<T extends object>(given: T, token: string | undefined): T & { adminToken?: string } {
  return token === undefined ? given : { ...given, adminToken: token };
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
