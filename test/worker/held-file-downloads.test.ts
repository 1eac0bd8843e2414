import { env } from "cloudflare:workers";
import { beforeAll, expect, test } from "vitest";
import { findDecisionTokens } from "../../src/oversight/decision-links.ts";
import { mailsTo } from "../support/approvals.ts";
import { entriesIn } from "../support/audit-fields.ts";
import { type ConsoleBrowser, signedIn } from "../support/console-client.ts";
import { held, type Overseen, overseenTenant } from "../support/console-world.ts";
import { request } from "../support/door-harness.ts";
import { runAlarm } from "../support/mailbox-harness.ts";

/** Whoever takes a file of what waits is on record, whichever way they came; looking at its size is no download. */

const TEXT = "the numbers of the quarter";
const FILE = { name: "numbers.txt", content_base64: btoa(TEXT), content_type: "text/plain" };

let world: Overseen;
let ana: ConsoleBrowser;
let item: string;

beforeAll(async () => {
  world = await overseenTenant();
  ana = await signedIn(world.id, world.ana);
  item = await held(world, world.sales, { attachments: [FILE] });
});

const sales = () => env.MAILBOX.getByName(world.sales.id.slice(-8));

async function downloads() {
  return (await entriesIn(sales())).filter(({ action }) => action === "attachment.downloaded");
}

/** The path of the link that the approver was mailed. */
async function linkPath(): Promise<string> {
  await runAlarm({ stub: sales() });
  const [token] = (await mailsTo(world.ana)).flatMap(({ text }) => findDecisionTokens(text)).slice(-1);
  return `/v1/approve/${token}`;
}

const WAYS = {
  link: async () => {
    const path = await linkPath();
    return (index: string, method: string) => request(`${path}/attachments/${index}`, { method });
  },
  console: async () => (index: string, method: string) =>
    ana.get(`/console/items/${item}/attachments/${index}`, {}, method),
};

test.each(["link", "console"] as const)("a download by %s names the file and the person, sealed", async (via) => {
  const ask = await WAYS[via]();
  // Looking at it again and again does not hide what is taken then.
  for (let times = 0; times < 25; times++) await ask("0", "HEAD");
  const before = (await downloads()).length;
  for (const [index, method, status] of [
    ["0", "HEAD", 200],
    ["1", "GET", 404],
    ["00", "GET", 404],
  ] as const) {
    expect((await ask(index, method)).status).toBe(status);
  }
  expect(await downloads()).toHaveLength(before);
  expect(await (await ask("0", "GET")).text()).toBe(TEXT);
  expect((await downloads()).slice(before)).toMatchObject([
    {
      actor: { type: "human", id: "approver", via },
      resource: { type: "email", id: item.replace("pend_", "em_") },
      mode: "gated_send",
      detail: { size: TEXT.length },
      personal: { file_name: FILE.name, sha256: expect.stringMatching(/^[0-9a-f]{64}$/), person: world.ana },
    },
  ]);
});
