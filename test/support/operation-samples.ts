import { inputFields } from "../../src/doors/admit.ts";
import type { Operation } from "../../src/operations/operation.ts";

/** Calls to operations, derived from their definitions: an operation with a field that no sample is known for fails its test. */

/** Ids of things in one tenant's hands. */
export interface Things {
  mailbox_id: string;
  email_id: string;
  thread_id: string;
  pending_id: string;
  /** Of the allowlist. */
  entry_id: string;
  template_id: string;
  draft_id: string;
  domain_id: string;
  /** A key's. */
  id: string;
  /** An agent's, whose operations call it `id` too. */
  agent: string;
}

type Reference = Exclude<keyof Things, "agent">;
const REFERENCES: readonly Reference[] = [
  "mailbox_id",
  "email_id",
  "thread_id",
  "pending_id",
  "entry_id",
  "template_id",
  "draft_id",
  "domain_id",
  "id",
];

/** The agent that samples name, for tenants that have it. */
export const SAMPLE_AGENT = "sample-agent";

/** A value for each field that some operation needs. */
const VALUES: Readonly<Record<string, () => unknown>> = {
  to: () => "ana@customer.example",
  subject: () => "Offer",
  send_at: () => new Date(Date.now() + 24 * 3600_000).toISOString(),
  markdown: () => "Hello",
  status: () => "read",
  tags: () => ["offer"],
  key: () => "offer",
  // Only a witness can make one that is taken.
  checkpoint: () => "signed by nobody",
  address: () => "gone@customer.example",
  filename: () => "offer.txt",
  decision: () => "reject",
  filter: () => ({ all: true }),
  name: () => "made by a test",
  scopes: () => ["read"],
  agent_id: () => SAMPLE_AGENT,
  model_id: () => "sample-1",
  model_provider: () => "sampler",
  display_name: () => "Agent",
  domain: () => `made-${Math.random().toString(36).slice(2, 12)}.example`,
  address_local: () => `made-${Math.random().toString(36).slice(2, 12)}`,
};

/** What one operation takes besides: of a group that is needed there, or what keeps a call short. */
const OWN_VALUES: Readonly<Record<string, Record<string, unknown>>> = {
  erase_contact: { address: "erased@customer.example" },
  check_suppression: { address: "gone@customer.example" },
  wait_for_email: { timeout: 1 },
  update_api_key: { name: "renamed by a test" },
  add_to_allowlist: { recipient: "ana@customer.example" },
  request_upgrade: { oversight_mode: "autonomous" },
  apply_upgrade: { approval_code: "a code that nobody was mailed" },
  verify_identity: { raw: "From: ana@customer.example\r\nSubject: Offer\r\n\r\nHello\r\n" },
  configure_domain: { dkim_key_type: "ed25519" },
  get_audit_proof: { seq: 0 },
  // Opened, it has what the tenant was refused: ids that are another's.
  export_audit_log: { personal: false },
  create_agent: { id: "made-by-a-test" },
  update_agent: { name: "renamed by a test" },
};

/** Operations that no sample can be taken by, and what they answer: what they need, only others can make. */
export const NEVER_TAKEN: Readonly<Record<string, number>> = { cosign_checkpoint: 422 };

/** What an operation works on, though a key that can use one mailbox alone may leave it out. */
const MEANT: Readonly<Record<string, Reference>> = { create_template: "mailbox_id" };

/** Operations whose `id` is an agent's. */
const OF_AGENTS = new Set(["get_agent", "update_agent", "delete_agent"]);

/** Optional by their schema, but one of a group that is needed. */
const NEEDED_BY_GROUP = new Set(["subject", "markdown", "decision", "filter", "display_name", "address_local"]);

/** @returns whether an input is taken. */
function isTaken(operation: Operation, input: Record<string, unknown>): boolean {
  return operation.input.safeParse(input).success;
}

/** The fields that an operation cannot do without, apart from references. */
export function sampleValues(operation: Operation): Record<string, unknown> {
  const fields = inputFields(operation.input);
  const needed = Object.entries(fields).filter(
    ([name, schema]) =>
      !REFERENCES.some((reference) => reference === name) &&
      (NEEDED_BY_GROUP.has(name) || !schema.safeParse(undefined).success),
  );
  const values = needed.map(([name]) => {
    const value = VALUES[name];
    if (!value) throw new Error(`${operation.name} needs the field ${name}: give it a sample in operation-samples.ts`);
    return [name, value()];
  });
  return { ...Object.fromEntries(values), ...OWN_VALUES[operation.name] };
}

/** The references that an operation cannot do without; none for one that only filters by them. */
export function neededReferences(operation: Operation): Reference[] {
  const fields = inputFields(operation.input);
  const has = REFERENCES.filter((name) => name in fields);
  const inPath = operation.rest.flatMap(({ path }) => has.filter((name) => path.includes(`{${name}}`)));
  const meant = MEANT[operation.name];
  if (meant) return [meant];
  if (isTaken(operation, sampleValues(operation))) return [];
  if (isTaken(operation, { ...sampleValues(operation), ...Object.fromEntries(inPath.map((name) => [name, "x"])) }))
    return [...new Set(inPath)];
  const enough = has.find((name) => isTaken(operation, { ...sampleValues(operation), [name]: "x" }));
  return [...new Set([...inPath, ...(enough ? [enough] : [])])];
}

export interface SampleCall {
  /** `POST /v1/mailboxes/{mailbox_id}/send`. */
  label: string;
  path: string;
  method: string;
  json?: unknown;
}

function filled(path: string, input: Record<string, unknown>): { path: string; rest: Record<string, unknown> } {
  const rest = { ...input };
  const full = path.replace(/\{(\w+)\}/g, (_whole, name: string) => {
    const value = String(rest[name]);
    delete rest[name];
    return encodeURIComponent(value);
  });
  return { path: full, rest };
}

/** One call at each of an operation's doors, naming these things. */
export function sampleCalls(operation: Operation, things: Things): SampleCall[] {
  const needed = neededReferences(operation);
  const thing = (name: Reference) => things[name === "id" && OF_AGENTS.has(operation.name) ? "agent" : name];
  const references = Object.fromEntries(needed.map((name) => [name, thing(name)]));
  const input = () => ({ ...references, ...sampleValues(operation) });
  const rest = operation.rest.map(({ method, path: template }): SampleCall => {
    const { path, rest: others } = filled(template, input());
    // A mailbox that only says where another thing is, is left out where the path leaves it out.
    const own = template.includes("{mailbox_id}") || needed.length === 1 ? others : withoutMailbox(others);
    const label = `${method} ${template}`;
    if (method === "GET")
      return {
        label,
        method,
        path: `${path}?${new URLSearchParams(Object.entries(own).map(([name, value]) => [name, String(value)]))}`,
      };
    return { label, method, path, ...(Object.keys(own).length > 0 && { json: own }) };
  });
  const rpc = [`/v1/${operation.name}`, `/${operation.name}`].map((path) => ({
    label: `POST ${path}`,
    method: "POST",
    path,
    json: input(),
  }));
  return [...rest, ...rpc];
}

function withoutMailbox({ mailbox_id: _mailbox, ...others }: Record<string, unknown>): Record<string, unknown> {
  return others;
}
