import type { FC } from "hono/jsx";
import { Visible } from "./layout.tsx";

/** What a person had written when their decision could not be taken, so that it is not lost. */
export interface KeptWords {
  note: string;
  subject: string | null;
  body: string | null;
}

const PARTS = [
  ["note", "Note"],
  ["subject", "Subject"],
  ["body", "Text"],
] as const;

/** Gives a person their own words back, to be copied. */
export const Kept: FC<{ kept: KeptWords | null | undefined }> = ({ kept }) => {
  const parts = PARTS.filter(([part]) => (kept?.[part] ?? "") !== "");
  if (!kept || parts.length === 0) return null;
  return (
    <details class="kept" open>
      <summary>What you had written</summary>
      <dl>
        {parts.map(([part, label]) => (
          <div>
            <dt>{label}</dt>
            <dd>
              <pre dir="auto">
                <Visible text={kept[part] ?? ""} context="body" />
              </pre>
            </dd>
          </div>
        ))}
      </dl>
    </details>
  );
};
