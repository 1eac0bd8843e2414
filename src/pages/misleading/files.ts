import type { StoredAttachment } from "../../mail/message.ts";
import { makeVisible, withoutHidden } from "./characters.ts";
import { shorten, type Warning } from "./warning.ts";

/** Media types that a file name's extension goes with. `*` stands for any subtype. */
const TYPES: Record<string, readonly string[]> = {
  pdf: ["application/pdf", "application/x-pdf"],
  doc: ["application/msword"],
  docx: ["application/vnd.openxmlformats-officedocument.wordprocessingml.document"],
  xls: ["application/vnd.ms-excel"],
  xlsx: ["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"],
  ppt: ["application/vnd.ms-powerpoint"],
  pptx: ["application/vnd.openxmlformats-officedocument.presentationml.presentation"],
  odt: ["application/vnd.oasis.opendocument.text"],
  ods: ["application/vnd.oasis.opendocument.spreadsheet"],
  rtf: ["application/rtf", "text/rtf"],
  txt: ["text/plain"],
  log: ["text/plain"],
  md: ["text/markdown", "text/plain"],
  csv: ["text/csv", "text/plain", "application/csv", "application/vnd.ms-excel"],
  json: ["application/json", "text/json", "text/plain"],
  xml: ["application/xml", "text/xml"],
  html: ["text/html"],
  htm: ["text/html"],
  ics: ["text/calendar"],
  vcf: ["text/vcard", "text/x-vcard"],
  eml: ["message/rfc822"],
  png: ["image/png"],
  jpg: ["image/jpeg", "image/jpg"],
  jpeg: ["image/jpeg", "image/jpg"],
  gif: ["image/gif"],
  webp: ["image/webp"],
  svg: ["image/svg+xml"],
  heic: ["image/heic", "image/heif"],
  tif: ["image/tiff"],
  tiff: ["image/tiff"],
  mp3: ["audio/mpeg", "audio/mp3", "audio/*"],
  wav: ["audio/wav", "audio/x-wav", "audio/*"],
  mp4: ["video/mp4", "audio/mp4"],
  mov: ["video/quicktime"],
  zip: ["application/zip", "application/x-zip-compressed"],
  gz: ["application/gzip", "application/x-gzip"],
  "7z": ["application/x-7z-compressed"],
};
/** Says nothing about what is inside. */
const UNTYPED = new Set(["application/octet-stream", "binary/octet-stream", "application/x-download", ""]);
const PROGRAMS = new Set(
  "exe com scr pif bat cmd msi msp msix appx ps1 psm1 vbs vbe js jse wsf wsh hta cpl jar lnk scf url reg dll sh bash command app dmg pkg deb rpm apk iso img vhd xll chm docm xlsm pptm dotm one".split(
    " ",
  ),
);
const COMPRESSED = new Set("gz bz2 xz zst zip 7z asc sig p7s p7m gpg pgp".split(" "));
const PROGRAM_TYPES =
  /^application\/(?:x-msdownload|x-msdos-program|x-dosexec|vnd\.microsoft\.portable-executable|x-sh|java-archive|x-executable|hta)$/;
const LONGEST_NAME = 100;

/** @returns a file's name as a program reads its ending: in lower case, without what nobody sees and spaces around dots. */
export function readableName(name: string): string {
  // Windows drops dots and spaces at the end, and a full-width dot reads as one.
  return withoutHidden(name)
    .normalize("NFKC")
    .replace(/[\s.]+$/, "")
    .toLowerCase()
    .split(".")
    .map((part) => part.trim())
    .join(".");
}

function extensionsOf(name: string): string[] {
  return readableName(name).split(".").slice(1);
}

/** @returns a content type without its parameters, in lower case. */
export function baseType(contentType: string): string {
  return (contentType.split(";")[0] ?? "").trim().toLowerCase();
}

function typesOf(extension: string): readonly string[] | undefined {
  return Object.hasOwn(TYPES, extension) ? TYPES[extension] : undefined;
}

/** @returns the media types that a file's name goes with, some of them as `audio/*`; empty for a name that says nothing. */
export function possibleTypes(name: string): readonly string[] {
  return typesOf(extensionsOf(name).at(-1) ?? "") ?? [];
}

/** @returns whether a file can run as a program when it is opened, by its name or by its type. */
export function isProgram({ name, content_type }: Pick<StoredAttachment, "name" | "content_type">): boolean {
  return PROGRAMS.has(extensionsOf(name).at(-1) ?? "") || PROGRAM_TYPES.test(baseType(content_type));
}

function matches(type: string, extension: string): boolean {
  return (typesOf(extension) ?? []).some((known) =>
    known.endsWith("/*") ? type.startsWith(known.slice(0, -1)) : known === type,
  );
}

function judgeExtension(file: StoredAttachment, where: string, shown: string): Warning[] {
  const extensions = extensionsOf(file.name);
  const last = extensions.at(-1) ?? "";
  const before = extensions.at(-2) ?? "";
  const type = baseType(file.content_type);
  if (PROGRAMS.has(last) && typesOf(before) !== undefined) {
    const message = `“${shown}” is a program (.${last}) named so that it looks like a .${before} document.`;
    return [{ code: "file_name_double_extension", severity: "danger", where, message }];
  }
  if (isProgram(file)) {
    const message = `“${shown}” can run as a program when it is opened.`;
    return [{ code: "file_is_program", severity: "danger", where, message }];
  }
  const found: Warning[] = [];
  if (typesOf(last) !== undefined && typesOf(before) !== undefined && last !== before && !COMPRESSED.has(last)) {
    const message = `“${shown}” has two endings: it looks like .${before}, but opens as .${last}.`;
    found.push({ code: "file_name_double_extension", severity: "caution", where, message });
  }
  if (typesOf(last) !== undefined && !UNTYPED.has(type) && !matches(type, last)) {
    const message = `“${shown}” is named .${last}, but is sent as ${makeVisible(type, "strict").slice(0, 80)}.`;
    found.push({ code: "file_type_mismatch", severity: "caution", where, message });
  }
  return found;
}

function judgeShape(file: StoredAttachment, where: string, shown: string): Warning[] {
  const found: Warning[] = [];
  if (/\s{3,}|^\s|\s$|\s\.[^.\s]+$/u.test(file.name)) {
    const message = `“${shown}” has spaces that can push its real ending out of sight.`;
    found.push({ code: "file_name_spaces", severity: "caution", where, message });
  }
  if ([...file.name].length > LONGEST_NAME) {
    const message = `A file name has ${[...file.name].length} characters, so its end is cut off on most screens: “${shown}”.`;
    found.push({ code: "file_name_long", severity: "caution", where, message });
  }
  return found;
}

/** Finds file names that say something else than what the file is, and names that are used twice. */
export function judgeFiles(files: readonly StoredAttachment[]): Warning[] {
  const seen = new Map<string, number>();
  return files.flatMap((file, i) => {
    const where = `attachments.${i}.name`;
    const shown = shorten(makeVisible(file.name, "strict"), 80);
    const found = [...judgeExtension(file, where, shown), ...judgeShape(file, where, shown)];
    const plain = withoutHidden(file.name).normalize("NFKC").trim().toLowerCase();
    const first = seen.get(plain);
    if (first === undefined) seen.set(plain, i);
    else {
      const message = `Two attachments are called “${shown}” (numbers ${first + 1} and ${i + 1}); one may hide the other.`;
      found.push({ code: "file_name_repeated", severity: "caution", where, message });
    }
    return found;
  });
}
