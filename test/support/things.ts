import { env } from "cloudflare:workers";
import { unwrap } from "../../src/errors.ts";
import { newId } from "../../src/ids.ts";
import type { Mailbox } from "../../src/operations/shapes/mailbox.ts";
import { newDkimKeys } from "../../src/store/domains.ts";
import { caller } from "./mailbox-harness.ts";
import type { Things } from "./operation-samples.ts";

/** An allowlist entry, a template and a draft in a mailbox, a domain and an agent, made in their objects as if a human had allowed all of it. */
export async function addThings({
  id,
  tenant_id,
}: Mailbox): Promise<Pick<Things, "entry_id" | "template_id" | "draft_id" | "domain_id" | "agent">> {
  const routing = id.slice(-8);
  const object = env.MAILBOX.getByName(routing);
  const admin = caller(tenant_id, ["admin"]);
  const human = caller(tenant_id, ["send", "oversight"]);
  const entry = { recipient: `${newId("alw", Date.now()).toLowerCase()}@customer.example`, note: null };
  const asked = unwrap(await object.allow(admin, entry, null));
  const words = "needs_approval" in asked ? asked.needs_approval.change : null;
  const allowed = unwrap(await object.allow(admin, entry, words));
  const template = unwrap(
    await object.proposeTemplate(human, {
      id: null,
      name: "Offer",
      subject: "Offer",
      markdown: "Hello",
      variables: [],
      allowed_domains: null,
    }),
  );
  const draft = unwrap(
    await object.saveDraft(human, {
      id: newId("em", Date.now(), routing),
      is_new: true,
      draft: { to: [{ name: null, address: "ana@customer.example" }], subject: "Offer", text: "Hello" },
    }),
  );
  const { agent } = unwrap(
    await env.TENANT.getByName(tenant_id).createAgent(admin, {
      id: newId("alw", Date.now()).toLowerCase(),
      name: null,
      model_id: "sample-1",
      model_provider: "sampler",
      default_for: [],
    }),
  );
  const domain = `${newId("dom", Date.now()).slice(-12).toLowerCase()}.example`;
  const configured = unwrap(
    await env.TENANT.getByName(tenant_id).configureDomain(
      admin,
      { domain, settings: { dkim_key_type: "ed25519" }, spf: [] },
      newDkimKeys(env, domain, "ed25519"),
    ),
  );
  // The address that samples name.
  const gone = { address: "gone@customer.example", reason: "manual" as const, note: null };
  unwrap(await env.TENANT.getByName(tenant_id).addSuppression(admin, gone));
  if ("needs_keys" in configured) throw new Error("the domain did not take its keys");
  if (!("entry" in allowed)) throw new Error("the allowlist did not take an entry");
  return {
    entry_id: allowed.entry.id,
    template_id: template.id,
    draft_id: draft.id,
    domain_id: configured.domain.id,
    agent: agent.id,
  };
}
