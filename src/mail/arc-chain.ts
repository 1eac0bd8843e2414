import { readTagList } from "./domain-tag-list.ts";

/**
 * The structure of an ARC chain (RFC 8617 §4, §5.2 steps 1 to 3), before any key is looked up or any signature checked. What
 * is refused here never reaches the library that verifies the signatures.
 */

/** RFC 8617 §4.2.1. */
export const MAX_ARC_SETS = 50;

/** A header field as the DKIM parser splits it: `line` is the whole field, folded as it is. */
export interface HeaderField {
  /** Lower-case name. */
  key: string;
  line: Uint8Array;
}

/** One set: what one hop wrote. */
export interface ArcSet {
  instance: number;
  /** Of the ARC-Seal: whose key vouches for the chain up to here, lower case. */
  sealer: string;
  /** Of the ARC-Message-Signature: whose key vouches for the message as it left that hop, lower case. */
  signer: string;
  /** The value of the ARC-Authentication-Results after its instance. */
  results: string;
}

/** `sets` is in order of instance, and empty for a message without ARC; a `fault` fails the chain and says why. */
export type ArcChain = { sets: ArcSet[]; fault: null } | { sets: null; fault: string };

const KINDS = {
  "arc-seal": "ARC-Seal",
  "arc-message-signature": "ARC-Message-Signature",
  "arc-authentication-results": "ARC-Authentication-Results",
} as const;
type Kind = keyof typeof KINDS;

const ALGORITHM = /^(?:rsa|ed25519)-sha256$/i;
const DOMAIN = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)+$/i;
const SELECTOR = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/i;
const BASE64 = /^(?:[A-Za-z0-9+/][ \t\r\n]*){4,}(?:=[ \t\r\n]*){0,2}$/;
const SECONDS = /^[0-9]{1,12}$/;
/** `position` of RFC 8617 §3.9. */
const INSTANCE = /^[0-9]{1,2}$/;

interface TagRule {
  required: boolean;
  /** The whole value. */
  form: RegExp;
}

/** RFC 8617 §4.1.3. */
const SEAL_TAGS: Readonly<Record<string, TagRule>> = {
  i: { required: true, form: INSTANCE },
  a: { required: true, form: ALGORITHM },
  b: { required: true, form: BASE64 },
  cv: { required: true, form: /^(?:none|pass|fail)$/i },
  d: { required: true, form: DOMAIN },
  s: { required: true, form: SELECTOR },
  t: { required: false, form: SECONDS },
};

/** RFC 8617 §4.1.2 with RFC 6376 §3.5. */
const SIGNATURE_TAGS: Readonly<Record<string, TagRule>> = {
  i: { required: true, form: INSTANCE },
  a: { required: true, form: ALGORITHM },
  b: { required: true, form: BASE64 },
  bh: { required: true, form: BASE64 },
  c: { required: false, form: /^(?:simple|relaxed)(?:\/(?:simple|relaxed))?$/i },
  d: { required: true, form: DOMAIN },
  // Empty names between colons name nothing; what is named is checked below.
  h: { required: true, form: /^[\x21-\x3a\x3c-\x7e \t\r\n]+$/ },
  l: { required: false, form: /^[0-9]{1,76}$/ },
  q: { required: false, form: /(?:^|:)[ \t\r\n]*dns\/txt[ \t\r\n]*(?::|$)/ },
  s: { required: true, form: SELECTOR },
  t: { required: false, form: SECONDS },
  x: { required: false, form: SECONDS },
};

/** The tags of a field, or in `fault` why it is no list of tags: then it is invalid as a whole (RFC 6376 §3.2). */
interface Tags {
  tags: ReadonlyMap<string, string>;
  fault: string | null;
}

/** VALCHAR with folding white space between (RFC 6376 §3.2), and the semicolons that part tags. */
const TAG_LIST = /^[\x20-\x7e\t\r\n]*$/;

function readTags(text: string): Tags {
  const read = readTagList(text);
  if ("problem" in read) return { tags: new Map(), fault: `is no list of tags: ${read.problem}` };
  return { tags: read.tags, fault: TAG_LIST.test(text) ? null : "has octets that may not stand in a list of tags" };
}

function faultOfTags(tags: Tags["tags"], rules: Readonly<Record<string, TagRule>>): string | null {
  for (const [name, { required, form }] of Object.entries(rules)) {
    const value = tags.get(name);
    if (value === undefined) {
      if (required) return `has no tag ${name}=`;
    } else if (!form.test(value)) return `has a ${name}= that is not valid`;
  }
  return null;
}

/** A field that was read, with its instance. */
interface Field {
  kind: Kind;
  instance: number;
  tags: Tags;
  value: string;
}

/** CFWS around the instance of ARC-Authentication-Results, without nested comments. */
const CFWS = "(?:[ \\t\\r\\n]|\\([^()\\\\]*\\))*";
const RESULTS = new RegExp(`^${CFWS}i${CFWS}=${CFWS}([0-9]{1,2})${CFWS};([\\s\\S]*)$`);

/** @returns the field, or why it belongs to no set. */
function readField({ key, line }: HeaderField): Field | string {
  const kind = key as Kind;
  const text = Buffer.from(line).toString("latin1");
  const value = text.slice(text.indexOf(":") + 1);
  if (kind === "arc-authentication-results") {
    const [, position, results = ""] = RESULTS.exec(value) ?? [];
    return withInstance({ kind, tags: { tags: new Map(), fault: null }, value: results }, position);
  }
  const tags = readTags(value);
  return tags.fault === null
    ? withInstance({ kind, tags, value }, tags.tags.get("i"))
    : `an ${KINDS[kind]} ${tags.fault}`;
}

function withInstance(field: Omit<Field, "instance">, position: string | undefined): Field | string {
  const instance = INSTANCE.test(position ?? "") ? Number(position) : 0;
  if (instance >= 1 && instance <= MAX_ARC_SETS) return { ...field, instance };
  return `an ${KINDS[field.kind]} has no instance from 1 to ${MAX_ARC_SETS}`;
}

/** RFC 8617 §4.1.3: a seal has no `h`; §5.2 step 3: what each `cv` must be. */
function faultOfSeal(seal: Tags, isFirst: boolean): string | null {
  if (seal.tags.has("h")) return "has the tag h=, which a seal may not have";
  const fault = faultOfTags(seal.tags, SEAL_TAGS);
  if (fault !== null) return fault;
  const wanted = isFirst ? "none" : "pass";
  const cv = seal.tags.get("cv")?.toLowerCase();
  return cv === wanted ? null : `says cv=${cv} where a chain that holds says ${wanted}`;
}

function faultOfSignature(signature: Tags): string | null {
  const fault = faultOfTags(signature.tags, SIGNATURE_TAGS);
  if (fault !== null) return fault;
  const covered = (signature.tags.get("h") ?? "").split(":").map((name) => name.trim().toLowerCase());
  if (covered.includes("arc-seal")) return "covers ARC-Seal, which comes after it";
  return covered.includes("from") ? null : "does not cover From";
}

function faultOfSet(set: Readonly<Record<Kind, Field>>, isFirst: boolean): string | null {
  const checks: [Kind, string | null][] = [
    ["arc-seal", faultOfSeal(set["arc-seal"].tags, isFirst)],
    ["arc-message-signature", faultOfSignature(set["arc-message-signature"].tags)],
  ];
  const found = checks.find(([, fault]) => fault !== null);
  return found ? `the ${KINDS[found[0]]} of instance ${set["arc-seal"].instance} ${found[1]}` : null;
}

const ended = (fault: string): ArcChain => ({ sets: null, fault });

function sortIntoSets(fields: readonly HeaderField[]): Map<number, Partial<Record<Kind, Field>>> | string {
  const sets = new Map<number, Partial<Record<Kind, Field>>>();
  for (const row of fields) {
    const field = readField(row);
    if (typeof field === "string") return field;
    const set = sets.get(field.instance) ?? {};
    if (set[field.kind]) return `instance ${field.instance} has more than one ${KINDS[field.kind]}`;
    set[field.kind] = field;
    sets.set(field.instance, set);
  }
  return sets;
}

/**
 * Reads the ARC sets of a message and checks their structure. No signature is verified.
 * @param header the fields of the header section, in any order. Others than ARC's are passed over.
 * @returns the sets, or why the chain cannot be valid whatever its signatures say.
 */
export function readArcChain(header: readonly HeaderField[]): ArcChain {
  const sorted = sortIntoSets(header.filter(({ key }) => key in KINDS));
  if (typeof sorted === "string") return ended(sorted);
  const sets: ArcSet[] = [];
  for (let instance = 1; instance <= sorted.size; instance++) {
    const set = sorted.get(instance);
    if (!set) return ended(`instance ${instance} is missing`);
    const missing = (Object.keys(KINDS) as Kind[]).find((kind) => !set[kind]);
    if (missing) return ended(`instance ${instance} has no ${KINDS[missing]}`);
    const whole = set as Record<Kind, Field>;
    const fault = faultOfSet(whole, instance === 1);
    if (fault !== null) return ended(fault);
    sets.push({
      instance,
      sealer: (whole["arc-seal"].tags.tags.get("d") as string).toLowerCase(),
      signer: (whole["arc-message-signature"].tags.tags.get("d") as string).toLowerCase(),
      results: whole["arc-authentication-results"].value,
    });
  }
  return { sets, fault: null };
}
