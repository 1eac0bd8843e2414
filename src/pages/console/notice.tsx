import type { FC } from "hono/jsx";
import type { Shape } from "../layout.tsx";
import { CONSOLE, ConsolePage, QUEUE, Told, type Viewer } from "./frame.tsx";

/** Why the console does not do what was asked, and what helps. */
export interface Notice {
  status: 401 | 403 | 404 | 405 | 410 | 413 | 415 | 503;
  title: string;
  what: string;
  help: string;
  shape: Shape;
}

const NOTHING_DECIDED = "Nothing was decided.";

export const NOTICES = {
  link: {
    status: 410,
    title: "This link does not work any more",
    what: "It was used already, is older than 15 minutes, or is not one of ours.",
    help: "Ask for a new one; it takes a minute.",
    shape: "clock",
  },
  signed_out: {
    status: 401,
    title: "You are signed out",
    what: `${NOTHING_DECIDED} A session ends after 12 hours without use, and when its person oversees nothing here any more.`,
    help: "Sign in again and decide there.",
    shape: "clock",
  },
  csrf: {
    status: 403,
    title: "We could not tell that this was you",
    what: `The form did not come from the console. ${NOTHING_DECIDED}`,
    help: "Open the page again and decide there.",
    shape: "alert",
  },
  too_large: {
    status: 413,
    title: "That was too much",
    what: `The form was larger than one of ours can be. ${NOTHING_DECIDED}`,
    help: "Open the page again and decide there.",
    shape: "alert",
  },
  form_type: {
    status: 415,
    title: "That was no form of ours",
    what: `The console takes what its own forms send. ${NOTHING_DECIDED}`,
    help: "Open the page again and decide there.",
    shape: "alert",
  },
  unknown: {
    status: 404,
    title: "There is nothing here",
    what: "It is not there, or it is not for you to decide.",
    help: "The queue has everything that waits for you.",
    shape: "info",
  },
  attachment_missing: {
    status: 404,
    title: "There is no such attachment",
    what: "This item has no file with that number.",
    help: "Go back to it and open its attachments from there.",
    shape: "info",
  },
  decided: {
    status: 410,
    title: "Already decided",
    what: "A decision was made, so the files are not shown here any more.",
    help: "The queue has everything that still waits for you.",
    shape: "clock",
  },
  method: {
    status: 405,
    title: "This cannot be done here",
    what: "The console's pages can be opened, and their forms can be sent. Nothing else.",
    help: "The queue has everything that waits for you.",
    shape: "info",
  },
  not_from_here: {
    status: 403,
    title: "Not from another site",
    what: "An export begins on the console's own page. Nothing was exported.",
    help: "Open the audit log here, and export it there.",
    shape: "alert",
  },
  unavailable: {
    status: 503,
    title: "We cannot reach it right now",
    what: "Something on our side does not answer. Nothing that waits is lost.",
    help: "Try again in a minute. If you had just decided, the queue shows what still waits.",
    shape: "clock",
  },
} as const satisfies Record<string, Notice>;

/** `viewer` is left out where nobody is signed in. */
export const NoticePage: FC<{ notice: Notice; viewer?: Viewer | undefined }> = ({ notice, viewer }) => (
  <ConsolePage title={notice.title} viewer={viewer}>
    <Told shape={notice.shape} title={notice.title} lede={notice.what}>
      <p>{notice.help}</p>
      <p>
        <a class="button-link" href={viewer ? QUEUE : CONSOLE}>
          {viewer ? "Open the queue" : "Sign in"}
        </a>
      </p>
    </Told>
  </ConsolePage>
);
