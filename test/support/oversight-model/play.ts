import * as decisions from "./play-decisions.ts";
import * as messages from "./play-messages.ts";
import * as queries from "./play-queries.ts";
import * as settings from "./play-settings.ts";
import * as time from "./play-time.ts";
import type { Beginning, Step } from "./steps.ts";
import { Story, Violation } from "./story.ts";
import { Watch } from "./watch.ts";
import { LOST, type World } from "./world.ts";

type Player<Kind extends Step["kind"]> = (story: Story, step: Extract<Step, { kind: Kind }>) => Promise<string | null>;

/** Who plays which step. An exhaustive Record: a kind left out does not compile. */
const PLAYERS: { [Kind in Step["kind"]]: Player<Kind> } = {
  send: messages.send,
  edit: messages.edit,
  cancel: messages.cancel,
  "mail arrives": messages.mailArrives,
  look: decisions.look,
  "key decides": decisions.keyDecides,
  "person decides": decisions.personDecides,
  "link decides": decisions.linkDecides,
  "link comes back": decisions.linkComesBack,
  set: settings.set,
  "set rules": settings.setRules,
  allow: settings.allow,
  disallow: settings.disallow,
  confirm: settings.confirm,
  "tenant pauses": settings.tenantPauses,
  query: queries.ask,
  "propose template": queries.proposeTemplate,
  "delete template": queries.deleteTemplate,
  "ask for more rope": queries.askForMoreRope,
  "take more rope": queries.takeMoreRope,
  "time passes": time.timePasses,
  "far end": time.setFarEnd,
  "far end answers": time.farEndAnswers,
  "something is away": time.somethingIsAway,
  restart: time.restart,
  evict: time.restart,
};

/** How often each kind of step ended how, so that a run can show that it met everything. */
export type Tally = Map<string, number>;

/** What went wrong where nobody was told, as far as nothing was away. */
export type Complaints = () => string[];

const EXPECTED = new RegExp(`tenant does not answer|D1 is away|${LOST}`);

/** What nothing that was away explains. */
function unexpected(complaints: readonly string[]): string[] {
  return complaints.filter((each) => !EXPECTED.test(each));
}

/** A story in which something that must hold did not, told to that point. */
export class BrokenStory extends Error {
  constructor(told: readonly string[], cause: unknown) {
    const what =
      cause instanceof Violation
        ? cause.message
        : `a breakdown: ${cause instanceof Error ? cause.stack : String(cause)}`;
    super([...told.map((sentence, at) => `${String(at).padStart(3)}. ${sentence}`), `  => ${what}`].join("\n"));
    this.name = "BrokenStory";
  }
}

/**
 * Plays one story from its beginning, and checks everything after each step.
 * @throws BrokenStory
 */
export async function playStory(
  world: World,
  beginning: Beginning,
  steps: readonly Step[],
  { tally, complaints }: { tally: Tally; complaints: Complaints },
): Promise<void> {
  let story: Story | null = null;
  let watch: Watch | null = null;
  let rest = [...steps];
  do {
    const end = rest.findIndex(({ kind }) => kind === "evict");
    const part = end < 0 ? rest : rest.slice(0, end);
    rest = end < 0 ? [] : rest.slice(end + 1);
    await world.inside(async () => {
      story ??= await Story.begin(world, beginning);
      watch ??= new Watch(story);
      for (const step of part) await playStep(story, watch, step, { tally, complaints });
    });
    if (end >= 0) await world.evict();
  } while (rest.length > 0);
}

async function playStep(
  story: Story,
  watch: Watch,
  step: Step,
  { tally, complaints }: { tally: Tally; complaints: Complaints },
): Promise<void> {
  const { world } = story;
  // Everything takes a little time.
  world.now += 1_000;
  const addressed = time.addressedNow(story);
  let isTold = false;
  try {
    const play = PLAYERS[step.kind] as Player<Step["kind"]>;
    const said = await play(story, step);
    if (said === null) return;
    story.told.push(said);
    isTold = true;
    const [, ending = ""] = said.split(" → ");
    for (const met of [`${step.kind} → ${ending}`, ...watch.check(addressed)])
      tally.set(met, (tally.get(met) ?? 0) + 1);
    const failed = unexpected(complaints());
    if (failed.length > 0) throw new Violation("no work fails", failed.join("; "));
  } catch (error) {
    if (!isTold) story.told.push(JSON.stringify(step));
    throw new BrokenStory([...story.told, ...unexpected(complaints())], error);
  }
}
