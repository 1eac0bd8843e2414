import { baseType, possibleTypes, readableName } from "../../pages/misleading/files.ts";
import { matchesGlob } from "./glob.ts";
import type { AttachmentRule } from "./policy-type.ts";
import type { JudgedFile, JudgedSend, Reason } from "./verdict-type.ts";
import { listed, quoted } from "./words.ts";

/** Media types, or the end of a file name. */
const MEDIA_TYPE = /^[a-z0-9!#$&^_.+*-]+\/[a-z0-9!#$&^_.+*-]+$/;
const NAME_END = /^\.[^\s./\\]+(?:\.[^\s./\\]+)*$/;

/** @returns a glob over media types (`application/*`) or name ends (`.exe`, `.tar.gz`) in its normal form, or null if it is neither. */
export function parseTypeGlob(text: string): string | null {
  const glob = text.trim().toLowerCase();
  return MEDIA_TYPE.test(glob) || NAME_END.test(glob) ? glob : null;
}

/** Whether a file can be of a type: by what it says it is, or by what its name makes of it on the recipient's side. */
function isOfType(glob: string, { name, content_type }: JudgedFile): boolean {
  if (glob.startsWith(".")) return matchesGlob(`*${glob}`, readableName(name));
  return [baseType(content_type), ...possibleTypes(name)].some((type) => matchesGlob(glob, type));
}

function isFound({ types, larger_than }: AttachmentRule, file: JudgedFile): boolean {
  const isLarge = larger_than === null || file.size > larger_than;
  return isLarge && (types.length === 0 || types.some((glob) => isOfType(glob, file)));
}

/** Attachment rules. */
export function judgeAttachments({ policy, attachments }: JudgedSend): Reason[] {
  return policy.attachments.flatMap((rule): Reason[] => {
    const found = attachments.filter((file) => isFound(rule, file));
    if (found.length === 0) return [];
    const names = listed(found.map(({ name }) => quoted(name)));
    const because = `The attachment rule ${quoted(rule.name)} applies to ${names}.`;
    return [{ rule: "attachments", action: rule.action, because }];
  });
}
