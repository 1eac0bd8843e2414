import { type InboundDependencies, receiveEmail } from "../email-workers/inbound.ts";
import { takeEmailEvents } from "../email-workers/provider-events.ts";
import { createApp } from "./doors/app.ts";
import type { Env } from "./env.ts";
import { checkMasterKeys } from "./store/secrets.ts";

export { MailboxObject } from "../durable-objects/mailbox.ts";
export { TenantObject } from "../durable-objects/tenant.ts";

const now = Date.now;
const app = createApp({ now });
const inbound: InboundDependencies = { now, fetch: (...request) => fetch(...request) };

export default {
  fetch: (request, env, context) => app.fetch(request, env, context),

  async queue(batch, env, _context) {
    checkMasterKeys(env);
    await takeEmailEvents(batch, env);
  },

  async email(message, env, _context) {
    // A throw is a temporary failure to the mail server: it keeps the message and tries again.
    checkMasterKeys(env);
    await receiveEmail(message, env, inbound);
  },
} satisfies ExportedHandler<Env>;
