import { parseArgs } from "node:util";
import { resealEverything, type StepAnswer } from "./resealing.ts";

/** `npm run reseal`: after MASTER_KEY was changed, brings everything that a deployment has at rest under the new one (docs/keys.md). */

const USAGE = `SETUP_TOKEN=… npm run reseal -- --url https://<PUBLIC_URL>
  --url  the deployment, or a local world
It may be stopped and started again at any time.`;

/** Longer than a step takes, also of the largest mailbox. */
const STEP_LIMIT = 120_000;

function readArguments(): { url: URL; token: string } {
  const { values } = parseArgs({ options: { url: { type: "string" }, help: { type: "boolean", default: false } } });
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  if (values.url === undefined || !URL.canParse(values.url)) throw new Error(USAGE);
  const token = process.env.SETUP_TOKEN;
  if (!token) throw new Error(`SETUP_TOKEN is not set.\n${USAGE}`);
  return { url: new URL("/setup/reseal", values.url), token };
}

/** The network may fail for a moment in a walk of many steps: that is told, and tried again like a 503. */
function unreached(url: URL, error: unknown): StepAnswer {
  const { message, cause } = error instanceof Error ? error : { message: String(error), cause: undefined };
  const why = cause instanceof Error ? cause.message : message;
  return { status: 503, body: { error: `${url.origin} is not reached: ${why}.` }, retry_after: null };
}

async function step(url: URL, token: string, cursor: string | null): Promise<StepAnswer> {
  try {
    return await post(url, token, cursor);
  } catch (error) {
    return unreached(url, error);
  }
}

async function post(url: URL, token: string, cursor: string | null): Promise<StepAnswer> {
  const response = await fetch(url, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ cursor }),
    // A redirect would take the token elsewhere.
    redirect: "error",
    signal: AbortSignal.timeout(STEP_LIMIT),
  });
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.startsWith("application/json") ?? false;
  const retryAfter = Number(response.headers.get("retry-after") ?? "");
  return {
    status: response.status,
    body: isJson ? JSON.parse(text) : null,
    retry_after: Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter : null,
  };
}

try {
  const { url, token } = readArguments();
  await resealEverything({
    step: (cursor) => step(url, token, cursor),
    say: (sentence) => console.log(sentence),
    pause: (ms) => new Promise((resume) => setTimeout(resume, ms)),
  });
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
