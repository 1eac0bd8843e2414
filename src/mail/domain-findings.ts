import {
  type Examination,
  failed,
  type Judged,
  MOST_CHARACTERS,
  MOST_FOUND,
  NAMES,
  PASS,
  publish,
  shown,
  silent,
} from "./domain-judgements.ts";
import type { LookedUp } from "./domain-look-ups.ts";
import { placeMistake, valueMistake } from "./domain-mistakes.ts";
import type { RecordFinding, WantedRecord } from "./domain-plan.ts";
import { ROUTING_HOST } from "./domain-records.ts";
import { ruleFor } from "./domain-rules.ts";

/** What is found of one wanted record, and what a person is told of it. */

/** In characters; three broken includes with their names need most of it. */
const MOST_TOLD = 4_000;

type Found = { found: string[]; judged: Judged };

/** Nothing is there that was meant to be it. */
async function absent(
  wanted: WantedRecord,
  { plan, seek }: Examination,
  found: string[],
  fits: (text: string) => boolean,
): Promise<Judged> {
  const mistake = valueMistake(wanted.name, found, fits) ?? (await placeMistake(wanted, plan.domain, seek, fits));
  const kind = wanted.type === "MX" ? "MX record" : `${NAMES[wanted.purpose]} record`;
  return {
    result: "missing",
    detail: [`There is no ${kind} at ${wanted.name}.`, ...(mistake === null ? [] : [mistake]), publish(wanted)].join(
      " ",
    ),
  };
}

async function examineTxt(wanted: WantedRecord, examination: Examination): Promise<Found> {
  const { plan, look, seek } = examination;
  const rule = ruleFor(wanted);
  const answer: LookedUp<string> = await look.txt(wanted.name);
  if (answer.state === "unknown") return { found: [], judged: silent(wanted, answer.code) };
  const texts = answer.state === "found" ? answer.values : [];
  const meant = texts.filter((text) => rule.meant(text));
  const fits = (text: string) => rule.fits(text, wanted, plan);
  if (meant.length === 0) {
    const other = (await rule.instead?.(wanted, examination)) ?? null;
    return { found: texts, judged: other ?? (await absent(wanted, examination, texts, fits)) };
  }
  const judged = await rule.judge(meant, wanted, examination);
  if (judged.result !== "fail") return { found: meant, judged };
  const mistake = valueMistake(wanted.name, meant, fits) ?? (await placeMistake(wanted, plan.domain, seek, fits));
  return { found: meant, judged: { ...judged, detail: [judged.detail, mistake].filter(Boolean).join(" ") } };
}

/** Whether `exchange` is the host that takes mail for this deployment. */
function isOurHost(exchange: string, mxHost: string): boolean {
  const [found, ours] = [exchange, mxHost].map((host) => host.toLowerCase().replace(/\.$/, "")) as [string, string];
  return found === ours || (ROUTING_HOST.test(found) && ROUTING_HOST.test(ours));
}

async function examineMx(wanted: WantedRecord, examination: Examination): Promise<Found> {
  const { plan, look, seek } = examination;
  const host = plan.hosts.mx_host as string;
  const fits = (text: string) => isOurHost(text.slice(text.indexOf(" ") + 1), host);
  const answer = await look.mx(wanted.name);
  if (answer.state === "unknown") return { found: [], judged: silent(wanted, answer.code) };
  if (answer.state === "missing") return { found: [], judged: await absent(wanted, examination, [], fits) };
  const records = answer.values.toSorted((a, b) => a.priority - b.priority).slice(0, 20);
  const found = records.map(({ priority, exchange }) => `${priority} ${exchange || "."}`);
  if (records.every(({ exchange }) => exchange === "")) {
    return { found, judged: failed(wanted, "says that the domain takes no mail (the null MX, RFC 7505)") };
  }
  // An alias is against RFC 2181 §10.3, and mail servers follow it all the same.
  const ours = await Promise.all(
    records.slice(0, MOST_FOUND).map(async ({ exchange }) => {
      if (isOurHost(exchange, host)) return true;
      const alias = await seek.cname(exchange);
      return alias.state === "found" && alias.values.some((target) => isOurHost(target, host));
    }),
  );
  const first = records.filter(({ priority }) => priority === records[0]?.priority).length;
  if (!ours.includes(true)) {
    const others = records.slice(0, MOST_FOUND).map(({ exchange }) => shown(exchange, 253));
    return { found, judged: failed(wanted, `leads to ${others.join(", ")} and not to ${host}`) };
  }
  if (!ours.slice(0, first).every(Boolean)) {
    return {
      found,
      judged: failed(
        wanted,
        `leads to ${shown(records[ours.indexOf(false)]?.exchange ?? "", 253)} as much as to ${host}, or before it`,
      ),
    };
  }
  return { found, judged: PASS };
}

async function examineCname(wanted: WantedRecord, { look }: Examination): Promise<Found> {
  const answer = await look.cname(wanted.name);
  if (answer.state === "unknown") return { found: [], judged: silent(wanted, answer.code) };
  if (answer.state === "missing") {
    return {
      found: [],
      judged: { result: "missing", detail: `There is no alias at ${wanted.name}. ${publish(wanted)}` },
    };
  }
  const same = answer.values.some((target) => target.toLowerCase().replace(/\.$/, "") === wanted.value.toLowerCase());
  return {
    found: answer.values,
    judged: same ? PASS : failed(wanted, `leads to ${shown(answer.values.join(", "), 253)}`),
  };
}

const EXAMINE: Readonly<
  Record<WantedRecord["type"], (wanted: WantedRecord, examination: Examination) => Promise<Found>>
> = {
  TXT: examineTxt,
  MX: examineMx,
  CNAME: examineCname,
};

/** Looks for one wanted record. @returns what was found, with sentences for a person; a breakdown of the DNS is `unknown`. */
export async function examineRecord(wanted: WantedRecord, examination: Examination): Promise<RecordFinding> {
  const { found, judged } = await EXAMINE[wanted.type](wanted, examination);
  const { purpose, type, name, required, value } = wanted;
  return {
    purpose,
    result: judged.result,
    required,
    type,
    name,
    expected: value,
    found: found.slice(0, MOST_FOUND).map((text) => shown(text, MOST_CHARACTERS)),
    // Sentences quote what strangers published.
    detail: judged.detail === null ? null : shown(judged.detail, MOST_TOLD),
  };
}
