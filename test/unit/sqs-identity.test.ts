import { afterEach, expect, test, vi } from "vitest";
import { openFallbackQueue } from "../../shared/adapters/open.ts";
import { createLog } from "../../shared/runtime/log.ts";

const settings = { sqsQueueUrl: "http://127.0.0.1:1/000000000000/updates.fifo", sqsSendTimeoutMs: 1_000 };
const consuming = {
  sqsPollers: 1,
  sqsLongPollSeconds: 0,
  sqsVisibilityTimeoutSeconds: 60,
  maxInFlightMessages: 1,
};

/** The SDK's environment, without whatever this machine has. */
function awsEnvironment(variables: Record<string, string>): void {
  const none = { AWS_REGION: "", AWS_DEFAULT_REGION: "", AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "" };
  const files = { AWS_CONFIG_FILE: "/dev/null", AWS_SHARED_CREDENTIALS_FILE: "/dev/null", AWS_PROFILE: "" };
  const all = { ...none, ...files, AWS_EC2_METADATA_DISABLED: "true", ...variables };
  for (const [name, value] of Object.entries(all)) vi.stubEnv(name, value === "" ? undefined : value);
}

function open() {
  const log = createLog("test", "fatal");
  const errors = vi.spyOn(log, "error");
  return { opening: openFallbackQueue(settings, consuming, log), errors };
}

afterEach(() => vi.unstubAllEnvs());

test("no region: refused at the start, naming the setting", async () => {
  awsEnvironment({});
  await expect(open().opening).rejects.toMatchObject({
    code: "no_aws_region",
    message: expect.stringContaining("set AWS_REGION"),
  });
});

test("no credentials: opens, and says that there is no fallback", async () => {
  awsEnvironment({ AWS_REGION: "eu-west-1" });
  const { opening, errors } = open();
  await (await opening).close();
  expect(errors).toHaveBeenCalledExactlyOnceWith(
    { code: "no_aws_credentials" },
    expect.stringContaining("until then there is no fallback"),
  );
});

test("both: opens without a word", async () => {
  awsEnvironment({ AWS_REGION: "eu-west-1", AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" });
  const { opening, errors } = open();
  await (await opening).close();
  expect(errors).not.toHaveBeenCalled();
});
