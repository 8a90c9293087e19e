import { connectionSettings } from "../../shared/runtime/connection-settings.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { readSettings, url, type Values } from "../../shared/runtime/settings.ts";

/** What the commands read from the environment. */
export const cliSettings = {
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

/**
 * The settings with the admin API's address filled in.
 * @throws KeylineError `bad_settings`
 */
export function readCliSettings(env: NodeJS.ProcessEnv): Values<typeof cliSettings> {
  const settings = readSettings(cliSettings, env);
  if (settings.pulsarAdminUrl !== "") return settings;
  if (!/^wss?:/.test(settings.pulsarUrl)) {
    const text = `PULSAR_ADMIN_URL is required with PULSAR_URL=${settings.pulsarUrl}: the address of Pulsar's admin API`;
    throw new KeylineError("bad_settings", text, { path: "PULSAR_ADMIN_URL" });
  }
  return { ...settings, pulsarAdminUrl: settings.pulsarUrl.replace(/^ws/, "http") };
}
