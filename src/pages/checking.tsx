import type { FC } from "hono/jsx";
import { Icon, type Shape } from "./layout.tsx";

/** What every page shares whose script checks something in the visitor's browser. */

/** Where a file is chosen. @param id of the input. @param accept as the input takes it. @param hint beside that it may be dropped. */
export const ChooseFile: FC<{ id: string; label: string; accept: string; hint: string }> = ({
  id,
  label,
  accept,
  hint,
}) => (
  <div class="drop" id="drop">
    <label class="field" for={id}>
      {label}
    </label>
    <input type="file" id={id} accept={accept} aria-describedby={`${id}-hint`} />
    <p class="hint" id={`${id}-hint`}>
      Or drop it anywhere on this page. {hint}
    </p>
  </div>
);

/** What stands there where no script runs. @param what is checked. @param command that checks it elsewhere. */
export const NeedsScript: FC<{ what: string; command: string }> = ({ what, command }) => (
  <noscript>
    <div class="warning caution" role="note">
      <span class="level">Needs JavaScript</span>
      <span>
        {what} is checked in your browser, by a script of this page, and your browser runs none here. The same check on
        the command line: <code class="mono">{command}</code>
      </span>
    </div>
  </noscript>
);

/** Where the script says what it found. */
export const Found: FC = () => (
  <>
    <p id="progress" class="unseen" role="status" aria-live="polite"></p>
    <section id="answer" class="card answer" aria-labelledby="answer-title" hidden></section>
  </>
);

/** The drawing of each outcome. */
export type OutcomeIcons = Readonly<Record<string, { shape: Shape; tone: "good" | "bad" | "still" }>>;

/** The script, with the drawings that it clones: it makes no markup from text. @param script where it is. */
export const CheckScript: FC<{ script: string; icons: OutcomeIcons }> = ({ script, icons }) => (
  <>
    {Object.entries(icons).map(([name, { shape, tone }]) => (
      <template id={`icon-${name}`}>
        <Icon shape={shape} class={tone} />
      </template>
    ))}
    <script type="module" src={script}></script>
  </>
);
