import {
  breakerSettings,
  connectionSettings,
  sharedSettings,
} from "../../shared/runtime/connection-settings.ts";
import { publisherSettings } from "../../shared/runtime/publisher-settings.ts";
import { choice, integer, text } from "../../shared/runtime/settings.ts";
import { adminSettings, consumerSettings } from "../audience-update/settings.ts";
import { gatewayAddressSettings, gatewayLimitSettings } from "../gateway/settings.ts";

const replaySettings = {
  replayRate: integer({
    env: "REPLAY_RATE",
    default: "200",
    unit: "updates/s",
    min: 1,
    max: 100_000,
    meaning: "how fast the CDNOW sample is replayed; at 200 its 6,919 purchases take 35 s",
  }),
  replayPasses: integer({
    env: "REPLAY_PASSES",
    default: "20",
    unit: "passes",
    min: 1,
    max: 100,
    meaning:
      "how often it is replayed, each pass for a new tenant: `cdnow`, `cdnow-2`, ...; about 15 MB each",
  }),
};

/** Every setting of the embedded mode: the service's own as far as they need no real servers, and the replay's. */
export const embeddedSettings = {
  ...replaySettings,
  adminHost: text({
    env: "ADMIN_HOST",
    default: "127.0.0.1",
    meaning: "address of the page and the admin endpoint",
  }),
  adminPort: adminSettings.adminPort,
  gatewayHost: { ...gatewayAddressSettings.gatewayHost, default: "127.0.0.1" },
  gatewayPort: gatewayAddressSettings.gatewayPort,
  ...gatewayLimitSettings,
  adminToken: {
    ...adminSettings.adminToken,
    // Only shown by --help: main.ts puts a random token where none is given.
    default: "",
    meaning: "bearer token that may force the route; without one, a random token is made and printed",
  },
  pulsarNamespace: connectionSettings.pulsarNamespace,
  pulsarSendTimeoutMs: connectionSettings.pulsarSendTimeoutMs,
  sqsSendTimeoutMs: connectionSettings.sqsSendTimeoutMs,
  ...breakerSettings,
  ...consumerSettings,
  // Client and server share one thread here, and the end waits for the last poll.
  sqsPollers: { ...consumerSettings.sqsPollers, default: "1" },
  sqsLongPollSeconds: { ...consumerSettings.sqsLongPollSeconds, default: "1" },
  ...publisherSettings,
  ...sharedSettings,
  logLevel: choice({
    env: "LOG_LEVEL",
    default: "warn",
    choices: ["trace", "debug", "info", "warn", "error", "fatal"],
    meaning: "least level that is shown",
  }),
};
