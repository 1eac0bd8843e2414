import type PostalMime from "postal-mime";
import type { Fault } from "./header-form.ts";
import { type Parameterized, readParameterized } from "./media-type.ts";
import { isIdentityEncoding } from "./transfer-encoding.ts";

/** The tree of a MIME message, and the rules by which all its readers see the same tree. */

/** One part. */
export interface MimeNode {
  /** Its header fields, unfolded. */
  fields: [name: string, value: string][];
  type: Parameterized | null;
  isMultipart: boolean;
  /** Null for a leaf. */
  boundary: string | null;
  /** Content-Transfer-Encoding as written; null where there is none. */
  encoding: string | null;
  charset: string | null;
  disposition: Parameterized | null;
  /** Which body it is if it is the first such (FORMATS.md §2.6); null for an attachment. */
  body: "text" | "html" | null;
  parent: MimeNode | null;
  children: MimeNode[];
}

/** What postal-mime keeps of a part: its declarations leave the tree out. */
interface ParsedNode {
  headers: { key: string; originalKey: string; value: string }[];
  /** As many, as they stand in the message. */
  rawHeaderLines: { line: string }[];
  childNodes: ParsedNode[];
  contentType: { parsed: { value: string; params: Record<string, string> }; multipart: string | false };
}

function fieldOf(node: ParsedNode, name: string): string | null {
  return node.headers.find(({ key }) => key === name)?.value ?? null;
}

/** RFC 2045 §5.2: what a part without the field is. */
const DEFAULT_TYPE: Parameterized = { value: "text/plain", parameters: new Map() };

function bodyKind(type: Parameterized | null, disposition: Parameterized | null): MimeNode["body"] {
  if (disposition?.value === "attachment") return null;
  return type?.value === "text/plain" ? "text" : type?.value === "text/html" ? "html" : null;
}

function nodeOf(node: ParsedNode, parent: MimeNode | null): MimeNode {
  const typeField = fieldOf(node, "content-type");
  const dispositionField = fieldOf(node, "content-disposition");
  const type = typeField === null ? DEFAULT_TYPE : readParameterized(typeField);
  const disposition = dispositionField === null ? null : readParameterized(dispositionField);
  const isMultipart = node.contentType.multipart !== false;
  return {
    // A line without a colon is kept as a name; it is no field.
    fields: node.headers
      .filter((_header, index) => node.rawHeaderLines[index]?.line.includes(":"))
      .map(({ originalKey, value }) => [originalKey, value]),
    type,
    isMultipart,
    boundary: isMultipart ? (node.contentType.parsed.params.boundary ?? "") : null,
    encoding: fieldOf(node, "content-transfer-encoding"),
    charset: type?.parameters.get("charset") ?? null,
    disposition,
    body: bodyKind(type, disposition),
    parent,
    children: [],
  };
}

/** @returns the parts that the parser found, each before those in it: the order in which they begin. */
export function treeOf(parser: PostalMime): MimeNode[] {
  const { root } = parser as unknown as { root: ParsedNode };
  const nodes: MimeNode[] = [];
  const walk = (node: ParsedNode, parent: MimeNode | null): void => {
    const found = nodeOf(node, parent);
    parent?.children.push(found);
    nodes.push(found);
    for (const child of node.childNodes) walk(child, found);
  };
  walk(root, null);
  return nodes;
}

const ONCE = ["content-type", "content-transfer-encoding", "content-disposition"];

/** RFC 2046 §5.1.1: 1 to 70 characters, not ending in a space. */
const BOUNDARY = /^[\w'()+,./:=? -]{0,69}[\w'()+,./:=?-]$/;
/** Of other kinds some readers show only one part, or another default type (RFC 2046 §5.1.5). */
const MULTIPARTS = ["multipart/mixed", "multipart/alternative", "multipart/related"];

function isAmbiguousMultipart({ type, boundary, encoding }: MimeNode): boolean {
  if (!type || !MULTIPARTS.includes(type.value) || !isIdentityEncoding(encoding)) return true;
  // RFC 2387 §3.2: another root than the first part; readers that do not know it show the first.
  if (type.parameters.has("start")) return true;
  return boundary === null || !BOUNDARY.test(boundary) || type.parameters.get("boundary") !== boundary;
}

function isAmbiguousLeaf({ type, disposition, fields }: MimeNode): boolean {
  const hasDisposition = fields.some(([name]) => name.toLowerCase() === "content-disposition");
  if (hasDisposition && !["inline", "attachment"].includes(disposition?.value ?? "")) return true;
  // RFC 3676 §4.5: readers that know it join words which the signed text keeps apart.
  if (type?.parameters.get("delsp")?.toLowerCase() === "yes") return true;
  return !type?.value.includes("/") || type.value.startsWith("multipart/");
}

/** The leaf that a reader comes to first in a part. */
function firstLeaf(node: MimeNode): MimeNode {
  const [first] = node.children;
  return first ? firstLeaf(first) : node;
}

/** The parts that readers take for the message's text (FORMATS.md §2.6). */
function bodiesOf(nodes: readonly MimeNode[]): Set<MimeNode | undefined> {
  return new Set((["text", "html"] as const).map((kind) => nodes.find(({ body }) => body === kind)));
}

/** What else mail programs write as an alternative; it counts as an attachment. */
const OTHER_ALTERNATIVES = ["text/calendar", "text/x-amp-html"];

/**
 * Of alternatives readers show one, of related parts the first. A signed file that was moved there, and called text, would be shown
 * in place of the text.
 */
function displacesBody(node: MimeNode, bodies: ReadonlySet<MimeNode | undefined>): boolean {
  const { parent } = node;
  const leaf = firstLeaf(node);
  if (parent?.type?.value === "multipart/related") return parent.children[0] === node && !bodies.has(leaf);
  if (parent?.type?.value !== "multipart/alternative" || bodies.has(leaf)) return false;
  return leaf.disposition?.value === "attachment" || !OTHER_ALTERNATIVES.includes(leaf.type?.value ?? "");
}

function isAmbiguous(node: MimeNode): boolean {
  return node.isMultipart ? isAmbiguousMultipart(node) : isAmbiguousLeaf(node);
}

function repeatedField({ fields }: MimeNode): string | null {
  const names = fields.map(([name]) => name.toLowerCase());
  return ONCE.find((name) => names.indexOf(name) !== names.lastIndexOf(name)) ?? null;
}

/** @returns why readers may see different parts; null where all see the same. */
export function structureFault(nodes: readonly MimeNode[]): Fault | null {
  const repeated = nodes.map(repeatedField).find((name) => name !== null);
  if (repeated) return { reason: "repeated", detail: `A part has the header ${repeated} twice.` };
  const boundaries = nodes.flatMap(({ boundary }) => boundary ?? []).sort();
  const imitated = boundaries.some((boundary, index) => boundaries[index + 1]?.startsWith(boundary));
  const bodies = bodiesOf(nodes);
  if (!imitated && !nodes.some((node) => isAmbiguous(node) || displacesBody(node, bodies))) return null;
  return { reason: "malformed", detail: "The message is not written so that all readers read it alike: its parts." };
}
